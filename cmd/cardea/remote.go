package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/server"
	"github.com/cardea-auth/cardea/internal/web"
)

// Variables that send the commands of operators to a running server instead of to the
// database. They are the command line's own: the server does not read them.
const (
	adminURL     = "CARDEA_ADMIN_URL"
	adminKey     = "CARDEA_ADMIN_KEY"
	adminKeyFile = "CARDEA_ADMIN_KEY_FILE"
	// adminInsecure allows plain http to a host that is not this machine.
	adminInsecure = "CARDEA_ADMIN_INSECURE_HTTP"
)

// remote is where a running server is; the zero value for none.
type remote struct {
	url, key string
	insecure bool
}

// remote reads the variables. One of the two alone is a mistake: the command would work on
// another server than was meant.
func (a *app) remote() (remote, error) {
	var r remote
	file := ""
	for _, pair := range a.env {
		name, value, _ := strings.Cut(pair, "=")
		switch value = strings.TrimSpace(value); name {
		case adminURL:
			r.url = value
		case adminKey:
			r.key = value
		case adminKeyFile:
			file = value
		case adminInsecure:
			switch value {
			case "true":
				r.insecure = true
			case "", "false":
			default:
				return r, usageError{adminInsecure + " must be true or false"}
			}
		}
	}
	if file != "" && r.key != "" {
		return r, usageError{"set one of " + adminKey + " and " + adminKeyFile}
	}
	if file != "" {
		doc, err := os.ReadFile(file)
		if err != nil {
			return r, fmt.Errorf("%s: %w", adminKeyFile, err)
		}
		r.key = strings.TrimSpace(string(doc))
	}
	switch {
	case r.url != "" && r.key == "":
		return r, usageError{adminURL + " is set, " + adminKey + " is not: it is a service_role token or an sb_secret_ key of that server"}
	case r.url == "" && r.key != "":
		return r, usageError{adminKey + " is set, " + adminURL + " is not: it is the address of the running server"}
	}
	return r, nil
}

// withoutRemote is the environment that configures a server.
func withoutRemote(env []string) []string {
	var rest []string
	for _, pair := range env {
		switch name, _, _ := strings.Cut(pair, "="); name {
		case adminURL, adminKey, adminKeyFile, adminInsecure:
		default:
			rest = append(rest, pair)
		}
	}
	return rest
}

// withAdmin gives the operators' API for one piece of work: that of the running server which
// the variables name, else one in this process, on the configured database.
func (a *app) withAdmin(flags map[string]string, work func(ctx context.Context, c *admin.Client) error) error {
	r, err := a.remote()
	if err != nil {
		return err
	}
	config := admin.Config{URL: r.url, Key: r.key, InsecureHTTP: r.insecure, UserAgent: "cardea " + versionOf().Version}
	if r.url != "" {
		c, err := admin.New(config)
		if err != nil {
			return usageError{strings.TrimPrefix(err.Error(), "admin: ") + " (" + adminURL + ", " + adminKey + ")"}
		}
		return work(a.ctx, c)
	}
	srv, cfg, err := a.open(flags)
	if err != nil {
		return err
	}
	log := slog.New(failures{logger(cfg, a.stderr).Handler()})
	config.URL, config.HTTP = "http://localhost", &http.Client{Transport: inProcess{web.Stack(web.Config{Log: log}, srv.AdminAPI())}}
	a.eraseDue = func(ctx context.Context) error {
		_, err := srv.EraseDue(ctx)
		return err
	}
	return errors.Join(inThisProcess(a.ctx, srv, config, work), srv.Close())
}

// inThisProcess works with a key that leaves the process as little as the requests do.
func inThisProcess(ctx context.Context, srv *server.Server, config admin.Config, work func(ctx context.Context, c *admin.Client) error) error {
	var err error
	if config.Key, err = srv.APIKeys().JWT(auth.RoleServiceRole); err != nil {
		return err
	}
	c, err := admin.New(config)
	if err != nil {
		return err
	}
	return work(ctx, c)
}

// failures logs what went wrong inside, and no line for each request.
type failures struct{ slog.Handler }

// Enabled implements slog.Handler.
func (f failures) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && f.Handler.Enabled(ctx, level)
}

// inProcess asks a handler in this process, without a port that others could reach.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// reasonOr gives the reason of a change, or that nobody gave one.
func reasonOr(reason, command string) string {
	if reason != "" {
		return reason
	}
	return "cardea " + command + ", no reason given"
}

// code reports whether an error is the API's with this code.
func code(err error, want string) bool { return err != nil && admin.CodeOf(err) == want }

// explainAdmin gives the sentence for people of an error of the API.
func explainAdmin(e *admin.Error) error {
	switch {
	case e.Code == admin.CodeTokenInvalid || e.Code == admin.CodeNotAdmin:
		return fmt.Errorf("the server does not take the key in %s as an operator's: %s", adminKey, e.Message)
	case e.Code == "":
		return fmt.Errorf("the answer (%d %s) is not that of Cardea's API: look at %s", e.Status, e.Message, adminURL)
	case e.RequestID != "" && e.Status >= http.StatusInternalServerError:
		return fmt.Errorf("%s (request %s in the server's log)", e.Message, e.RequestID)
	}
	return errors.New(e.Message)
}
