package main

import (
	"fmt"
	"io"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/server"
)

// status is what a developer needs to connect.
type status struct {
	APIURL         string        `json:"api_url"`
	AuthURL        string        `json:"auth_url"`
	JWKSURL        string        `json:"jwks_url"`
	AnonKey        string        `json:"anon_key"`
	ServiceRoleKey string        `json:"service_role_key"`
	PublishableKey string        `json:"publishable_key,omitempty"` // dev only: elsewhere they are stored hashed
	SecretKey      string        `json:"secret_key,omitempty"`      // dev only
	InboxURL       string        `json:"inbox_url,omitempty"`       // dev only: where mails and text messages go
	Database       string        `json:"database"`                  // without its password
	DataDir        string        `json:"data_dir,omitempty"`        // dev only
	Demo           []demoAccount `json:"demo_accounts,omitempty"`   // dev only
}

// statusOf makes the two API-key tokens anew; earlier ones stay good.
func statusOf(srv *server.Server, cfg config.Config, r *config.Report) (status, error) {
	s := status{APIURL: cfg.PublicURL, AuthURL: cfg.AuthURL(), JWKSURL: cfg.JWKSURL()}
	if e, ok := r.Entry("CARDEA_DATABASE_URL"); ok {
		s.Database = e.Value
	}
	var err error
	if s.AnonKey, err = srv.APIKeys().JWT(auth.RoleAnon); err != nil {
		return s, err
	}
	if s.ServiceRoleKey, err = srv.APIKeys().JWT(auth.RoleServiceRole); err != nil {
		return s, err
	}
	if !cfg.Dev {
		return s, nil
	}
	s.InboxURL = cfg.PublicURL + server.InboxPath
	var keys devKeys
	if err := readJSON(devKeysPath(cfg.DataDir), &keys); err != nil {
		return s, err
	}
	s.DataDir, s.PublishableKey, s.SecretKey = cfg.DataDir, keys.Publishable, keys.Secret
	s.Demo, err = readDemo(cfg.DataDir)
	return s, err
}

// write prints the status in one of three forms.
func (s *status) write(w io.Writer, form string) error {
	switch form {
	case "json":
		return writeJSON(w, s)
	case "env":
		pairs := []pair{
			{"API_URL", s.APIURL}, {"AUTH_URL", s.AuthURL}, {"JWKS_URL", s.JWKSURL},
			{"ANON_KEY", s.AnonKey}, {"SERVICE_ROLE_KEY", s.ServiceRoleKey},
		}
		if s.PublishableKey != "" {
			pairs = append(pairs, pair{"PUBLISHABLE_KEY", s.PublishableKey}, pair{"SECRET_KEY", s.SecretKey}, pair{"INBOX_URL", s.InboxURL})
		}
		return writeEnv(w, pairs)
	}
	return s.pretty(w)
}

func (s *status) pretty(w io.Writer) error {
	lines := []pair{
		{"API URL", s.APIURL}, {"Auth URL", s.AuthURL}, {"JWKS URL", s.JWKSURL}, {"Inbox", s.InboxURL}, {"Database", s.Database},
		{"Data folder", s.DataDir}, {"anon key", s.AnonKey}, {"service_role key", s.ServiceRoleKey},
		{"Publishable key", s.PublishableKey}, {"Secret key", s.SecretKey},
	}
	for _, d := range s.Demo {
		lines = append(lines, pair{"Demo " + d.Role, d.Email + "  password " + d.Password})
	}
	for _, l := range lines {
		if l.value == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%18s  %s\n", l.name, printable(l.value)); err != nil {
			return err
		}
	}
	return nil
}

type statusCmd struct {
	commonFlags
	listenFlags
	Output string `short:"o" help:"pretty, env (shell assignments) or json." enum:"pretty,env,json" default:"pretty"`
}

// Run prints the status of the data folder, or of the configured database.
func (c *statusCmd) Run(a *app) error {
	flags := merge(c.commonFlags.flags(), c.listenFlags.flags())
	srv, cfg, err := a.open(flags)
	if err != nil {
		return err
	}
	defer srv.Close()                 //nolint:errcheck // only read from
	_, r, _ := a.load(cfg.Dev, flags) // it was accepted above
	s, err := statusOf(srv, cfg, &r)
	if err != nil {
		return err
	}
	if state, ok := readState(cfg.DataDir); cfg.Dev && (!ok || !state.running(a.ctx)) {
		a.say("The development server isn't running: start it with `cardea dev`.")
	}
	return s.write(a.stdout, c.Output)
}
