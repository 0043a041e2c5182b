package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/surface/gotrue"
)

// openHooks checks the hooks; nil when there is none.
func (s *Server) openHooks() (*hook.Hooks, error) {
	endpoint := func(h config.Hook) hook.Endpoint {
		return hook.Endpoint{Enabled: h.Enabled, URI: h.URI, Secrets: string(h.Secrets)}
	}
	c := &s.cfg.Hooks
	database, _ := s.store.(hook.Database) // SQLite has no functions of the application
	h, err := hook.New(hook.Config{
		BeforeUserCreated: endpoint(c.BeforeUserCreated), AfterUserCreated: endpoint(c.AfterUserCreated),
		SendEmail: endpoint(c.SendEmail), SendSMS: endpoint(c.SendSMS), CustomizeAccessToken: endpoint(c.CustomAccessToken),
		PasswordVerification: endpoint(c.PasswordVerification), MFAVerification: endpoint(c.MFAVerificationAttempt),
		User: gotrue.View, AdminRoles: s.cfg.JWT.AdminRoles, Database: database, Now: s.opt.Now, Rand: s.opt.Rand,
		Observe: func(name hook.Name, took time.Duration, err error) {
			s.metrics.hookCalled(name, took, err)
			if err != nil {
				s.opt.Log.Warn("hook failed", "hook", string(name), "took", took, "error", err)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("server: hooks: %w", err)
	}
	return h, nil
}

// openReceiver checks the secrets of notices that other servers send.
func (s *Server) openReceiver() (err error) {
	c := &s.cfg.Webhooks
	s.receiver, err = hook.NewReceiver(c.Encoding, string(c.Secret), string(c.Previous))
	if err != nil {
		return fmt.Errorf("server: CARDEA_WEBHOOK_SECRET or CARDEA_WEBHOOK_PREVIOUS_SECRET: %w", err)
	}
	return nil
}

// flowHooks are the hooks as the flows see them.
type flowHooks struct{ *messages }

// BeforeUserCreated implements flow.Hooks.
func (f flowHooks) BeforeUserCreated(ctx context.Context, u *auth.User, ip string) error {
	return f.hooks.BeforeUserCreated(ctx, u, ip) //nolint:wrapcheck // an *auth.Error for the caller
}

// AfterUserCreated implements flow.Hooks.
func (f flowHooks) AfterUserCreated(now time.Time, u *auth.User, ip string) (*auth.Message, error) {
	if !f.hooks.Has(hook.AfterUserCreated) {
		return nil, nil //nolint:nilnil // nobody wants to know
	}
	id, err := auth.NewID(now, f.rand)
	if err != nil {
		return nil, err //nolint:wrapcheck // names itself
	}
	told := *u
	told.PasswordHash = "" // not even sealed
	plain, err := json.Marshal(news{User: told, IP: ip})
	if err != nil {
		return nil, fmt.Errorf("server: news: %w", err)
	}
	sealed, err := f.box.Seal(plain, newsContext(id))
	if err != nil {
		return nil, fmt.Errorf("server: news: %w", err)
	}
	return &auth.Message{ID: id, Channel: channelHook, Kind: string(hook.AfterUserCreated), Sealed: sealed, CreatedAt: now, NotBefore: now}, nil
}

// passwordAttempt tells the application of a try, and does what it says.
func (s *Server) passwordAttempt(ctx context.Context, user auth.ID, valid bool, ip string) error {
	v, err := s.messages.hooks.PasswordVerification(ctx, user, valid, ip)
	if err != nil {
		return err //nolint:wrapcheck // an *auth.Error for the caller
	}
	if v.SignOut && !user.IsZero() {
		if err := s.endAllSessions(ctx, user, ip); err != nil {
			return err
		}
	}
	if v.Reject {
		return auth.E(auth.CodeInvalidCredentials, v.Message)
	}
	return nil
}

func (s *Server) endAllSessions(ctx context.Context, user auth.ID, ip string) error {
	now := auth.Truncate(s.opt.Now())
	id, err := auth.NewID(now, s.opt.Rand)
	if err != nil {
		return err //nolint:wrapcheck // names itself
	}
	_, err = s.store.UpdateUser(ctx, user, auth.UserPatch{At: now, Revoke: auth.RevokeAll, Audit: []auth.AuditEntry{{
		ID: id, At: now, Action: "logout", LogType: "account", ActorID: user, IP: ip, Traits: map[string]any{"by": "hook"},
	}}})
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return fmt.Errorf("server: end sessions for a hook: %w", err)
	}
	return nil
}

// byHook hands a message over to the application, where it sends its own.
func (m *messages) byHook(ctx context.Context, msg notify.Message) (taken bool, err error) {
	e := hook.Event{ID: msg.ID, At: msg.CreatedAt}
	v := &msg.Vars
	u := &auth.User{ID: msg.UserID, Email: v.Email, Phone: v.Phone, EmailChange: v.NewEmail, Role: auth.RoleAuthenticated, Aud: auth.RoleAuthenticated}
	if v.Data != nil {
		if u.UserMetadata, err = json.Marshal(v.Data); err != nil {
			return true, fmt.Errorf("server: hook: %w", err)
		}
	}
	if msg.Channel != notify.ChannelEmail {
		if !m.hooks.Has(hook.SendSMS) {
			return false, nil
		}
		return true, forOutbox(m.hooks.SendSMS(ctx, e, u, hook.SMSData{OTP: v.Token, Phone: msg.To}))
	}
	if !m.hooks.Has(hook.SendEmail) {
		return false, nil
	}
	if msg.Purpose == auth.PurposeEmailCurrent {
		return true, nil // the message to the new address takes both along
	}
	d := hook.EmailData{
		Token: v.Token, TokenHash: v.TokenHash, RedirectTo: v.RedirectTo, EmailActionType: actionType(&msg), SiteURL: m.public + config.AuthPath,
		OldEmail: v.OldEmail, OldPhone: v.OldPhone, Provider: v.Provider, FactorType: v.FactorType,
	}
	if msg.Purpose == auth.PurposeEmailNew {
		d.SetEmailChange(msg.OtherToken, msg.OtherTokenHash, v.Token, v.TokenHash)
	}
	return true, forOutbox(m.hooks.SendEmail(ctx, e, u, d))
}

// forOutbox keeps the no of a hook final: what it refuses today it refuses tomorrow.
func forOutbox(err error) error {
	if r := hook.RefusalOf(err); r != nil {
		return &notify.Error{Text: err.Error(), Permanent: r.IsPermanent(), Cause: err}
	}
	return err
}

// actionType is GoTrue's name of what a mail is for.
func actionType(m *notify.Message) string {
	switch m.Purpose {
	case auth.PurposeEmailCurrent, auth.PurposeEmailNew:
		return "email_change"
	case auth.PurposeClaim:
		return "signup"
	case auth.PurposeReauthenticate:
		return "reauthentication"
	case "":
		return string(m.Kind) + "_notification"
	}
	return string(m.Purpose)
}
