package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/server"
)

type mailCmd struct {
	Preview mailPreviewCmd `cmd:"" help:"Show messages with sample data, as they would be sent."`
	Dead    mailDeadCmd    `cmd:"" help:"List the messages that were given up."`
	Retry   mailRetryCmd   `cmd:"" help:"Put messages that were given up back into the queue."`
}

type mailPreviewCmd struct {
	commonFlags
	Kind    string `arg:"" optional:"" help:"Kind of message, such as recovery. Without one, the kinds are listed."`
	Locale  string `help:"Language; the configured one without it." placeholder:"LANGUAGE"`
	Channel string `help:"email, sms or whatsapp." enum:"email,sms,whatsapp" default:"email"`
	HTML    bool   `help:"Print the HTML part of a mail."`
	Dir     string `help:"Write every mail in every language into this folder, as HTML and text." placeholder:"FOLDER"`
}

// Run renders with the configured templates; a template with an error is refused with file
// and line, as it would be at the start of the server.
func (c *mailPreviewCmd) Run(a *app) error {
	cfg, err := a.loadBeside(c.flags())
	if err != nil {
		return err
	}
	templates, err := server.Templates(cfg)
	if err != nil {
		return err
	}
	switch {
	case c.Dir != "":
		return c.writeAll(a, templates)
	case c.Kind == "":
		for _, k := range notify.Kinds() {
			if _, err := fmt.Fprintln(a.stdout, k); err != nil {
				return err
			}
		}
		return nil
	}
	if c.Locale != "" && !slices.Contains(notify.Locales(), c.Locale) {
		return usageError{fmt.Sprintf("there are no messages in %q: %s", c.Locale, strings.Join(notify.Locales(), ", "))}
	}
	r, err := templates.Preview(notify.Kind(c.Kind), c.Locale, c.Channel)
	if err != nil {
		return usageError{err.Error()}
	}
	if c.HTML {
		_, err = fmt.Fprintln(a.stdout, r.HTML)
		return err
	}
	if r.Subject != "" {
		if _, err := fmt.Fprintf(a.stdout, "Subject: %s\n\n", r.Subject); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(a.stdout, r.Text)
	return err
}

// writeAll writes what a person can look through.
func (c *mailPreviewCmd) writeAll(a *app, templates *notify.Templates) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil { //nolint:gosec // G301: sample data, for whoever looks at it
		return err
	}
	n := 0
	for _, locale := range notify.Locales() {
		for _, kind := range notify.Kinds() {
			r, err := templates.Preview(kind, locale, notify.ChannelEmail)
			if err != nil {
				return err
			}
			for suffix, text := range map[string]string{".html": r.HTML, ".txt": "Subject: " + r.Subject + "\n\n" + r.Text} {
				name := filepath.Join(c.Dir, string(kind)+"."+locale+suffix)
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // G306: as above
					return err
				}
				n++
			}
		}
	}
	a.say("Wrote %d files to %s.", n, c.Dir)
	return nil
}

type mailDeadCmd struct {
	commonFlags
	Limit  int    `help:"How many, newest first, 1 to 1000." default:"50"`
	Output string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run lists dead messages.
func (c *mailDeadCmd) Run(a *app) error {
	if c.Limit < 1 || c.Limit > maxDead {
		return usageError{fmt.Sprintf("--limit must be from 1 to %d", maxDead)}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		messages, err := api.Messages.Dead(ctx, c.Limit)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(a.stdout, messages)
		}
		if len(messages) == 0 {
			a.say("No message was given up.")
		}
		for i := range messages {
			m := &messages[i]
			_, err := fmt.Fprintf(a.stdout, "%s  %-8s %-18s %2d tries  %s\n", m.ID, printable(m.Channel), printable(m.Kind), m.Attempts, printable(m.LastError))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// maxDead is the longest list of messages that were given up.
const maxDead = 1000

type mailRetryCmd struct {
	commonFlags
	IDs []string `arg:"" optional:"" name:"id" help:"Messages, as mail dead lists them."`
	All bool     `help:"All of them."`
}

// Run puts messages back. A server that runs sends them; otherwise the next one does. Codes
// and links that have expired meanwhile are given up again.
func (c *mailRetryCmd) Run(a *app) error {
	if c.All == (len(c.IDs) > 0) {
		return usageError{"name messages, or say --all"}
	}
	return a.withAdmin(c.flags(), func(ctx context.Context, api *admin.Client) error {
		if !c.All {
			return c.retry(ctx, a, api, c.IDs)
		}
		n := 0
		for { // those that are put back are not in the list any more
			messages, err := api.Messages.Dead(ctx, maxDead)
			if err != nil {
				return err
			}
			if len(messages) == 0 {
				a.say("%d messages are in the queue again.", n)
				return nil
			}
			for i := range messages {
				if err := api.Messages.Retry(ctx, messages[i].ID); err != nil && !code(err, admin.CodeNotFound) {
					return err
				}
				n++
			}
		}
	})
}

func (c *mailRetryCmd) retry(ctx context.Context, a *app, api *admin.Client, ids []string) error {
	for _, text := range ids {
		if _, err := auth.ParseID(text); err != nil {
			return usageError{fmt.Sprintf("%q is no id of a message", printable(text))}
		}
	}
	for _, id := range ids {
		err := api.Messages.Retry(ctx, id)
		if code(err, admin.CodeNotFound) {
			return fmt.Errorf("there is no message %s that was given up: see `cardea mail dead`", id)
		}
		if err != nil {
			return err
		}
	}
	a.say("%d messages are in the queue again.", len(ids))
	return nil
}
