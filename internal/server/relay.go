package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/surface/rest"
	"github.com/cardea-auth/cardea/internal/web"
	"github.com/cardea-auth/cardea/usersync"
)

// relaying says that a trusted issuer has the credentials, and not this server.
func (s *Server) relaying() bool { return s.cfg.Relay.Mode == config.ModeRelay }

// ownIssuer is how our own tokens are verified.
func (s *Server) ownIssuer() cardea.Issuer {
	return cardea.Issuer{
		URL: s.cfg.JWT.Issuer, Audiences: []string{s.cfg.JWT.Audience}, Keys: s.ring,
		Algorithms: []string{"ES256", "RS256", "EdDSA", "HS256"},
	}
}

// openVerifiers makes the verifier of our own tokens, for /auth/v1, and that of the surfaces
// that people of trusted issuers may use: ours first, then theirs.
func (s *Server) openVerifiers() error {
	var err error
	s.verifier, err = cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{s.ownIssuer()}, MaxTokenSize: tokenSize, Now: s.opt.Now})
	if err != nil {
		return fmt.Errorf("server: verifier: %w", err)
	}
	if len(s.cfg.Relay.Issuers) == 0 { // one cache of verified tokens is enough
		s.trusted = s.verifier
		return nil
	}
	c := cardea.Config{Issuers: []cardea.Issuer{s.ownIssuer()}, MaxTokenSize: tokenSize, Now: s.opt.Now}
	for _, t := range s.cfg.Relay.Issuers {
		i := cardea.Issuer{URL: issuerName(&t), Audiences: t.Audiences, APIKey: string(t.APIKey), HMACSecret: t.Secret, InsecureHTTP: s.cfg.InsecureHTTP}
		switch t.Kind {
		case config.KindSupabase:
			i.Kind = cardea.KindSupabase
			if t.APIKey.Set() { // a token that no key is there for is asked about
				i.Introspection.Kind = cardea.IntrospectionSupabase
			}
		case config.KindOIDC:
			i.Kind = cardea.KindOIDC
		}
		c.Issuers = append(c.Issuers, i)
	}
	if s.trusted, err = cardea.NewVerifier(c); err != nil {
		return fmt.Errorf("server: trusted issuers: %w", err)
	}
	return nil
}

// issuerName is the iss of an issuer's tokens: Supabase's is below the project's address.
func issuerName(t *config.TrustedIssuer) string {
	name := strings.TrimRight(t.URL, "/")
	if u, err := url.Parse(name); t.Kind == config.KindSupabase && err == nil && u.Path == "" {
		return name + config.AuthPath
	}
	if t.Kind == config.KindSupabase {
		return name
	}
	return t.URL
}

// openProvisioning makes what keeps the people of trusted issuers.
func (s *Server) openProvisioning(c flow.Config) error {
	if len(s.cfg.Relay.Issuers) == 0 {
		return nil
	}
	names, sources := map[string]string{}, map[string]usersync.Source{}
	for _, t := range s.cfg.Relay.Issuers {
		name := issuerName(&t)
		names[name], sources[name] = t.Name, usersync.Claims{}
		if t.Kind != config.KindOIDC {
			sources[name] = usersync.SupabaseUser{URL: name, APIKey: string(t.APIKey), ServiceKey: string(t.ServiceKey)}
		}
	}
	mode := usersync.Required
	if s.cfg.Relay.Provisioning == "best_effort" {
		mode = usersync.BestEffort
	}
	var err error
	s.syncer, err = usersync.New(usersync.Config{
		Rules: s.linking(),
		Store: flow.NewProvisioner(c, s.store, names), Sources: sources, Mode: mode, Now: s.opt.Now, Rand: s.opt.Rand,
		OnFailure: func(_ context.Context, f usersync.Failure) {
			s.opt.Log.Warn("provisioning: will be tried again", "op", f.Op, "issuer", f.Issuer, "subject", f.Subject, "error", f.Err)
		},
		OnConflict: func(_ context.Context, u usersync.User, list []usersync.Conflict) {
			s.opt.Log.Warn("provisioning: the account and its issuer do not agree; the account stays", "user", u.ID, "conflicts", list)
		},
		WriteError: writeProvisioning,
	})
	if err != nil {
		return fmt.Errorf("server: provisioning: %w", err)
	}
	return nil
}

// linking says by which addresses an account that is here already may be found. Where
// addresses count as proved at once, whoever knew one could have put an account of his own
// under it, and would share what its owner does here after a sign-in elsewhere.
func (s *Server) linking() usersync.Rules {
	if s.relaying() { // nobody but the issuers makes accounts
		return usersync.Rules{}
	}
	unproved := s.cfg.People.Verification == "none" && slices.Contains(s.cfg.Surfaces, config.SurfaceREST)
	return usersync.Rules{NoEmailLink: s.cfg.EmailAutoconfirm || unproved, NoPhoneLink: s.cfg.PhoneAutoconfirm || unproved}
}

// local gives the account of somebody whom a trusted issuer vouches for.
func (s *Server) local(ctx context.Context, p *cardea.Principal, token string) (*cardea.Principal, error) {
	got, err := s.syncer.Ensure(ctx, p, token)
	if err != nil {
		return nil, err //nolint:wrapcheck // a *cardea.Error
	}
	found := *p // many requests share the one of the verifier
	found.Provisioned, found.LocalID = got.Provisioned, got.User.ID
	return &found, nil
}

// relay gives what stands in place of the credentials' routes; nil where those are here.
func (s *Server) relay(a *apis) *rest.Relay {
	if !s.relaying() {
		return nil
	}
	// Who it is, and not yet whether there is an account: the handlers see to that, and go on
	// without one where the configuration says so.
	verified := *a.callers
	verified.Local = func(_ context.Context, p *cardea.Principal, _ string) (*cardea.Principal, error) {
		seen := *p
		seen.LocalID = p.Subject
		return &seen, nil
	}
	guard := func(next http.Handler) http.Handler {
		return web.Handle(func(w http.ResponseWriter, r *http.Request) error {
			cred, err := verified.Credential(r)
			switch {
			case err != nil:
				return err //nolint:wrapcheck // an *auth.Error
			case cred.Principal == nil:
				return auth.Wrap(auth.CodeBadJWT, cardea.NewError(cardea.CodeSubject, nil))
			case cred.Principal.Issuer == s.cfg.JWT.Issuer:
				return auth.E(auth.CodeFeatureDisabled, "")
			}
			seen := *cred.Principal
			seen.LocalID = ""
			next.ServeHTTP(w, r.WithContext(cardea.WithPrincipal(r.Context(), &seen)))
			return nil
		}, rest.WriteError)
	}
	return &rest.Relay{Sync: guard(s.syncer.SyncHandler()), Who: guard(s.syncer.VerifyHandler())}
}

// writeProvisioning answers as the REST API does.
func writeProvisioning(w http.ResponseWriter, r *http.Request, err error) {
	var e *cardea.Error
	if errors.As(err, &e) && e.HTTPStatus() >= 400 && e.HTTPStatus() < 500 && e.HTTPStatus() != http.StatusUnauthorized && e.HTTPStatus() != http.StatusForbidden {
		rest.WriteError(w, r, &auth.Error{Code: auth.CodeBadJSON, Cause: err})
		return
	}
	var known *auth.Error
	if !errors.As(web.Unprovisioned(err), &known) {
		known = auth.Wrap(auth.CodeInternal, err)
	}
	rest.WriteError(w, r, known)
}

// mountNoCredentials serves /auth/v1 where a trusted issuer has the credentials: our public
// keys, and for everything else a 404 that says why.
func (s *Server) mountNoCredentials(mux *http.ServeMux, supabase http.Handler) {
	mux.Handle(config.AuthPath+"/.well-known/jwks.json", http.StripPrefix(config.AuthPath, supabase))
	mux.HandleFunc(config.AuthPath+"/", func(w http.ResponseWriter, _ *http.Request) {
		_ = web.WriteJSON(w, http.StatusNotFound, map[string]any{
			"code": http.StatusNotFound, "error_code": "feature_disabled", "msg": "The issuer of the tokens has the credentials, not this server",
		})
	})
}
