package notify

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"strings"
	texttemplate "text/template"
)

// templateError is the failure of a template of the operator.
type templateError struct {
	name string
	err  error
}

func (e *templateError) Error() string { return e.err.Error() }
func (e *templateError) Unwrap() error { return e.err }

// Render puts a message into words, in the best language there is for it. A template of the
// operator that fails on this message is replaced by the built-in one.
func (t *Templates) Render(m Message) (Rendered, error) {
	r, _, err := t.render(m)
	return r, err
}

// render tells besides what failed of the operator's.
func (t *Templates) render(m Message) (r Rendered, warning, err error) {
	v := cleanVars(m.Vars)
	r = Rendered{
		ID: m.ID, Channel: m.Channel, Kind: m.Kind, To: m.To, Locale: MatchLocale(m.Locale, t.locale),
		Code: v.Token, Link: v.ConfirmationURL, CreatedAt: m.CreatedAt,
	}
	words := wordVars{Vars: v, Site: t.site}
	if m.Channel != ChannelEmail {
		r.Text, warning, err = t.renderSMS(r.Locale, m.Kind, words)
		return r, warning, err
	}
	warning, err = t.renderMail(&r, words)
	return r, warning, err
}

func (t *Templates) renderSMS(locale string, kind Kind, v wordVars) (text string, warning, err error) {
	custom := t.find(kind, locale, func(o *own) bool { return o.sms != nil })
	tpl := t.sms
	if v.Token == "" {
		tpl = nil
	}
	if custom != nil {
		tpl = custom.sms
	}
	if tpl != nil {
		if text, warning = runText(tpl, v.Vars); warning == nil {
			return text, nil, nil
		}
	}
	text, err = t.speech[locale].sms(kind, v)
	return text, warning, err
}

func (t *Templates) renderMail(r *Rendered, v wordVars) (warning, err error) {
	s := t.speech[r.Locale]
	if o := t.find(r.Kind, r.Locale, func(o *own) bool { return o.subject != nil }); o != nil {
		r.Subject, warning = runText(o.subject, v.Vars)
	}
	if r.Subject == "" {
		if r.Subject, err = s.say(s.all.Messages[r.Kind].Subject, v); err != nil {
			return warning, err
		}
	}
	r.Subject = oneLine(r.Subject) // a line break would begin a header of somebody else's making
	if o := t.find(r.Kind, r.Locale, func(o *own) bool { return o.html != nil || o.text != nil }); o != nil {
		bodyErr := o.body(r, v.Vars)
		if bodyErr == nil {
			return warning, nil
		}
		warning = errors.Join(warning, bodyErr)
	}
	f, err := s.frame(r.Kind, v)
	if err != nil {
		return warning, err
	}
	layoutErr := t.frameIn(r, f, t.custom)
	if layoutErr == nil {
		return warning, nil
	}
	return errors.Join(warning, layoutErr), t.frameIn(r, f, t.builtin)
}

// frameIn fills a layout; parts that it does not have are the built-in ones.
func (t *Templates) frameIn(r *Rendered, f Frame, l layout) (err error) {
	if l.html == nil {
		l.html = t.builtin.html
	}
	if l.text == nil {
		l.text = t.builtin.text
	}
	if r.HTML, err = runHTML(l.html, f); err != nil {
		return err
	}
	r.Text, err = runText(l.text, f)
	return err
}

// body fills the operator's own body. Whoever replaces one part speaks for the other too: a
// text that is missing is made of the HTML, HTML that is missing is left out.
func (o *own) body(r *Rendered, v Vars) (err error) {
	r.HTML, r.Text = "", ""
	if o.html != nil {
		if r.HTML, err = runHTML(o.html, v); err != nil {
			return err
		}
	}
	if o.text != nil {
		r.Text, err = runText(o.text, v)
		return err
	}
	r.Text = plainText(r.HTML)
	return nil
}

// find gives the operator's templates for the language, else those for every language.
func (t *Templates) find(kind Kind, locale string, has func(*own) bool) *own {
	for _, p := range []place{{kind, locale}, {kind, ""}} {
		if o := t.own[p]; o != nil && has(o) {
			return o
		}
	}
	return nil
}

func runText(t *texttemplate.Template, data any) (string, error) {
	var b limited
	if err := t.Execute(&b, data); err != nil {
		return "", &templateError{name: t.Name(), err: err}
	}
	// What Go prints for a member of Data that is not there. GoTrue prints nothing.
	return strings.ReplaceAll(b.String(), "<no value>", ""), nil
}

func runHTML(t *htmltemplate.Template, data any) (string, error) {
	var b limited
	if err := t.Execute(&b, data); err != nil {
		return "", &templateError{name: t.Name(), err: err}
	}
	return b.String(), nil
}

// limited stops a template that never ends.
type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("the message would be larger than %d bytes: %w", maxRendered, io.ErrShortWrite)
	}
	return l.Builder.Write(p)
}

// cleanVars takes line breaks and characters that turn the direction of writing out of
// everything that is a single line by nature. Data stays as it is: it is the user's own
// text, and only templates of the operator show it.
func cleanVars(v Vars) Vars {
	for _, s := range []*string{
		&v.SiteURL, &v.ConfirmationURL, &v.Email, &v.NewEmail, &v.SendingTo, &v.Token, &v.TokenHash, &v.RedirectTo,
		&v.OldEmail, &v.Phone, &v.OldPhone, &v.Provider, &v.FactorType, &v.Device, &v.IPAddress,
	} {
		*s = oneLine(*s)
	}
	return v
}
