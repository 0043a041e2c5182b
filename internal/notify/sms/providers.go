package sms

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea/internal/notify"
)

// twilio: POST /2010-04-01/Accounts/{sid}/Messages.json, Basic authentication, answer 201.
func (s *Sender) twilio(ctx context.Context, number string, m notify.Rendered) error {
	t := &s.c.Twilio
	v := url.Values{"To": {"+" + number}, "Body": {m.Text}}
	sender := t.Sender
	if m.Channel == notify.ChannelWhatsApp {
		if t.WhatsAppSender != "" {
			sender = t.WhatsAppSender
		}
		v.Set("To", "whatsapp:+"+number)
		if t.ContentSID != "" && m.Code != "" {
			variables, err := json.Marshal(map[string]string{"1": m.Code})
			if err != nil {
				return err
			}
			v.Del("Body")
			v.Set("ContentSid", t.ContentSID)
			v.Set("ContentVariables", string(variables))
		}
	}
	switch {
	case strings.HasPrefix(sender, "MG"):
		v.Set("MessagingServiceSid", sender)
	case m.Channel == notify.ChannelWhatsApp:
		v.Set("From", "whatsapp:"+strings.TrimPrefix(sender, "whatsapp:"))
	default:
		v.Set("From", sender)
	}
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(t.AccountSID, t.AuthToken)
	a, err := s.post(ctx, s.base+"/2010-04-01/Accounts/"+url.PathEscape(t.AccountSID)+"/Messages.json", formType, form(v), req.Header)
	if err != nil {
		return err
	}
	var said struct {
		Code      int    `json:"code"`
		Message   string `json:"message"`
		ErrorCode int    `json:"error_code"`
		Status    string `json:"status"`
	}
	readable := json.Unmarshal(a.body, &said) == nil
	switch {
	case a.status < 300 && a.status >= 200 && said.Status != "failed" && said.Status != "undelivered":
		return nil // also where the answer can't be read: it has been accepted
	case !readable:
		return s.failure(a, "", false)
	case said.Code == 0:
		said.Code = said.ErrorCode
	}
	// 21211 and 21614: no (mobile) number; 21408: region not enabled; 21610: the recipient
	// has opted out; 21612, 21617: can't be routed, too long; 63024: no WhatsApp account.
	forGood := slices.Contains([]int{21211, 21408, 21610, 21612, 21614, 21617, 63024}, said.Code)
	return s.failure(a, strings.TrimSpace(strconv.Itoa(said.Code)+" "+said.Message), forGood)
}

// vonage: POST /sms/json; the answer is 200 with a status of its own in it.
func (s *Sender) vonage(ctx context.Context, number string, m notify.Rendered) error {
	c := &s.c.Vonage
	v := url.Values{
		"api_key": {c.APIKey}, "api_secret": {c.APISecret}, "from": {c.From}, "to": {number}, "text": {m.Text},
		"client-ref": {m.ID.String()},
	}
	if unicode(m.Text) {
		v.Set("type", "unicode")
	}
	a, err := s.post(ctx, s.base+"/sms/json", formType, form(v), nil)
	if err != nil {
		return err
	}
	var said struct {
		Messages []struct {
			Status    string `json:"status"`
			ErrorText string `json:"error-text"`
		} `json:"messages"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &said) != nil || len(said.Messages) == 0 {
		return s.failure(a, "", false)
	}
	for _, part := range said.Messages {
		if part.Status != "0" {
			// 3, 6: recipient or text is invalid; 7: number barred; 29: not on the list of a trial.
			forGood := slices.Contains([]string{"3", "6", "7", "29"}, part.Status)
			return s.failure(a, strings.TrimSpace(part.Status+" "+part.ErrorText), forGood)
		}
	}
	return nil
}

// messageBird: POST /messages with an access key; answer 201.
func (s *Sender) messageBird(ctx context.Context, number string, m notify.Rendered) error {
	v := url.Values{
		"originator": {s.c.MessageBird.Originator}, "recipients": {number}, "body": {m.Text}, "type": {"sms"},
		"datacoding": {"plain"}, "reference": {m.ID.String()},
	}
	if unicode(m.Text) {
		v.Set("datacoding", "unicode")
	}
	header := http.Header{"Authorization": {"AccessKey " + s.c.MessageBird.AccessKey}}
	a, err := s.post(ctx, s.base+"/messages", formType, form(v), header)
	if err != nil {
		return err
	}
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	var said struct {
		Errors []struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
			Parameter   string `json:"parameter"`
		} `json:"errors"`
	}
	if json.Unmarshal(a.body, &said) != nil || len(said.Errors) == 0 {
		return s.failure(a, "", false)
	}
	e := said.Errors[0]
	// 9: no correct recipient; 10: a parameter is wrong, ours to repair unless it is theirs.
	forGood := e.Code == 9 || e.Code == 10 && e.Parameter == "recipients"
	return s.failure(a, strconv.Itoa(e.Code)+" "+e.Description, forGood)
}

// textLocal: POST /send/; the answer is 200 with a status of its own in it.
func (s *Sender) textLocal(ctx context.Context, number string, m notify.Rendered) error {
	c := &s.c.TextLocal
	v := url.Values{"apikey": {c.APIKey}, "sender": {c.Sender}, "numbers": {number}, "message": {m.Text}, "custom": {m.ID.String()}}
	if unicode(m.Text) {
		v.Set("unicode", "true")
	}
	a, err := s.post(ctx, s.base+"/send/", formType, form(v), nil)
	if err != nil {
		return err
	}
	var said struct {
		Status string `json:"status"`
		Errors []struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(a.body, &said) != nil || a.status != http.StatusOK {
		return s.failure(a, "", false)
	}
	if said.Status == "success" {
		return nil
	}
	if len(said.Errors) == 0 {
		return s.failure(a, "refused without a reason", false)
	}
	e := said.Errors[0]
	// 4, 32, 51: no recipient, or not a number; 6: too long.
	return s.failure(a, strconv.Itoa(e.Code)+" "+e.Message, slices.Contains([]int{4, 6, 32, 51}, e.Code))
}
