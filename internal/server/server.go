// Package server assembles Cardea: it is the only place, with cmd, that names a concrete
// store, grant or surface. [Open] wires, [Server.Serve] runs, [Server.Close] ends.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/consent"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/job"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/password"
	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/internal/seal"
	"github.com/cardea-auth/cardea/internal/store"
	"github.com/cardea-auth/cardea/internal/token"
	"github.com/cardea-auth/cardea/usersync"
)

// Options is what does not come from the configuration. The zero value is right for
// production.
type Options struct {
	Log     *slog.Logger     // nil: discard
	Now     func() time.Time // nil: time.Now
	Rand    io.Reader        // nil: crypto/rand
	Version string
	// Inbox keeps messages in memory for tests; what the configuration says of mail servers
	// and providers still counts. nil: only `cardea dev` has one.
	Inbox *notify.Inbox
	// CaptchaURL is asked instead of the captcha provider that the configuration names, by
	// tests. "": the provider.
	CaptchaURL string
	// GoogleURL is the issuer of Google's ID tokens, for tests. "": Google.
	GoogleURL string
}

// Server is a wired Cardea.
type Server struct {
	cfg        config.Config
	opt        Options
	store      store.Store
	ring       *token.Ring
	apiKeys    *token.APIKeys
	admin      *flow.Admin
	verifier   *cardea.Verifier // of our own tokens
	trusted    *cardea.Verifier // of ours and those of trusted issuers
	syncer     *usersync.Syncer // of the people of trusted issuers; nil: there is none
	messages   *messages
	metrics    *metrics
	roles      *role.Live
	flows      flow.Config
	adminAPI   http.Handler
	collectors *hook.Collectors
	erasures   chan struct{} // gets a value when a deletion has begun
	stopping   chan struct{} // closed when the server is told to stop
	handler    http.Handler
	receiver   *hook.Receiver
	purposes   *consent.Catalogue
}

// tokenSize is the longest token that our own routes read: accounts with much metadata
// have long ones.
const tokenSize = 64 << 10

// keyPoll is how often the ring looks for keys that other nodes made. A new key is
// published as standby long before it signs, so this is not urgent.
const keyPoll = 30 * time.Second

// Open connects the database, checks its schema, opens the key ring and wires everything.
// It does not listen yet. Errors say what to do.
func Open(ctx context.Context, cfg config.Config, opt Options) (*Server, error) {
	st, err := openStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s, err := assemble(ctx, cfg, opt, st)
	if err != nil {
		st.Close()
		return nil, err
	}
	return s, nil
}

// assemble wires a server around an open store.
func assemble(ctx context.Context, cfg config.Config, opt Options, st store.Store) (*Server, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Inbox == nil && cfg.Dev {
		opt.Inbox = &notify.Inbox{}
	}
	if opt.Rand == nil {
		opt.Rand = rand.Reader
	}
	s := &Server{cfg: cfg, opt: opt, store: st, stopping: make(chan struct{}), erasures: make(chan struct{}, 1), metrics: &metrics{}}
	if err := s.wire(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) wire(ctx context.Context) error {
	box, err := s.openBox()
	if err != nil {
		return err
	}
	hooks, err := s.openHooks()
	if err != nil {
		return err
	}
	if err := s.openReceiver(); err != nil {
		return err
	}
	if err := s.openCollectors(); err != nil {
		return err
	}
	if err := s.openRoles(); err != nil {
		return err
	}
	if err := s.openPurposes(); err != nil {
		return err
	}
	if err := s.openKeys(ctx, box, hooks); err != nil {
		return err
	}
	if err := s.openMessages(box, hooks); err != nil {
		return err
	}
	hasher, err := password.New(password.Config{
		Algorithm: s.cfg.Password.Algorithm, BcryptCost: s.cfg.Password.BcryptCost,
		Concurrency: s.cfg.Password.Concurrency, Rand: s.opt.Rand,
	})
	if err != nil {
		return fmt.Errorf("server: password hashing: %w", err)
	}
	if err := s.openVerifiers(); err != nil {
		return err
	}
	single, err := s.openSingleTenant(ctx)
	if err != nil {
		return err
	}
	return s.mount(hasher, single)
}

// openBox makes what seals secrets in the database.
func (s *Server) openBox() (*seal.Box, error) {
	keys := [][]byte{s.cfg.EncryptionKey}
	if s.cfg.PreviousEncryptionKey.Set() {
		keys = append(keys, s.cfg.PreviousEncryptionKey)
	}
	box, err := seal.New(keys...)
	if err != nil {
		return nil, fmt.Errorf("server: encryption key: %w", err)
	}
	return box, nil
}

// openKeys opens the ring, making the first keys of a new database.
func (s *Server) openKeys(ctx context.Context, box *seal.Box, hooks *hook.Hooks) (err error) {
	c := token.Config{
		Store: s.store, Box: box, Algorithm: s.cfg.JWT.Algorithm, GivenKeys: s.cfg.JWT.Keys, Secret: s.cfg.JWT.Secret, SecretID: s.cfg.JWT.SecretID,
		Issuer: s.cfg.JWT.Issuer, Audience: s.cfg.JWT.Audience, TTL: s.cfg.JWT.TTL, Now: s.opt.Now, Rand: s.opt.Rand,
		ReloadFailed: func(err error) { s.opt.Log.Warn("key ring: reload failed, going on with the known keys", "error", err) },
	}
	c.TenantClaim, c.Permissions = s.cfg.People.TenantClaim, s.permissions
	if hooks.Has(hook.CustomizeAccessToken) {
		c.Customize = hooks.CustomizeAccessToken
	}
	s.ring, err = token.Open(ctx, c)
	if err != nil {
		return fmt.Errorf("server: key ring: %w", err)
	}
	s.apiKeys = token.NewAPIKeys(s.ring, s.store)
	return nil
}

// Handler serves every surface.
func (s *Server) Handler() http.Handler { return s.handler }

// Keys gives the key ring.
func (s *Server) Keys() *token.Ring { return s.ring }

// APIKeys gives the API keys.
func (s *Server) APIKeys() *token.APIKeys { return s.apiKeys }

// Admin gives what operators do to accounts.
func (s *Server) Admin() *flow.Admin { return s.admin }

// Serve answers on ln until ctx is done. Then it stops listening, lets requests in flight
// finish for at most cfg.HTTP.ShutdownTimeout, and returns. A nil error means that none was
// cut off.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopJobs()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.runJobs(jobs)
	}()
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: s.cfg.HTTP.ReadHeaderTimeout, ReadTimeout: s.cfg.HTTP.ReadTimeout,
		WriteTimeout: s.cfg.HTTP.WriteTimeout, IdleTimeout: s.cfg.HTTP.IdleTimeout,
		MaxHeaderBytes: tokenSize + 32<<10, ErrorLog: slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("server: serve: %w", err)
	case <-ctx.Done():
		err = s.shutdown(srv)
	}
	stopJobs()
	<-done
	return err
}

func (s *Server) shutdown(srv *http.Server) error {
	s.opt.Log.Info("shutting down: finishing requests in flight", "at_most", s.cfg.HTTP.ShutdownTimeout)
	close(s.stopping)
	ctx := context.Background()
	if d := s.cfg.HTTP.ShutdownTimeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if err := srv.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("server: requests were still in flight after %s: %w", s.cfg.HTTP.ShutdownTimeout, err), srv.Close())
	}
	return nil
}

// runJobs runs what has to happen beside requests until ctx is done.
func (s *Server) runJobs(ctx context.Context) {
	var others sync.WaitGroup
	others.Go(func() {
		job.Cleaner{
			Store: s.store, Log: s.opt.Log, Now: s.opt.Now,
			MaxAge: s.cfg.Session.MaxAge(), Inactivity: s.cfg.Session.Inactivity,
		}.Run(ctx)
	})
	others.Go(func() { s.runSender(ctx) })
	others.Go(func() { s.eraser().Run(ctx) })
	others.Go(func() { s.serveMetrics(ctx) })
	if s.syncer != nil {
		others.Go(func() { s.syncer.Run(ctx) })
	}
	s.ring.Run(ctx, keyPoll)
	others.Wait()
}

// Close ends the connections to the database. Call it after Serve has returned.
func (s *Server) Close() error {
	s.store.Close()
	return nil
}
