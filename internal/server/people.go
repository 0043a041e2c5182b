package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/phone"
	"github.com/cardea-auth/cardea/internal/redirect"
	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/internal/surface/adminapi"
	"github.com/cardea-auth/cardea/internal/surface/legacy"
	"github.com/cardea-auth/cardea/internal/surface/mirror"
	"github.com/cardea-auth/cardea/internal/surface/rest"
	"github.com/cardea-auth/cardea/internal/token"
	"github.com/cardea-auth/cardea/internal/web"
	"github.com/cardea-auth/cardea/presets"
	"github.com/cardea-auth/cardea/ratelimit"
)

// openRoles loads the catalogue of roles.
func (s *Server) openRoles() error {
	name, doc, err := presets.ReadRoles(s.cfg.People.Roles, os.ReadFile)
	if err != nil {
		return fmt.Errorf("server: CARDEA_ROLES: %w", err)
	}
	catalogue, err := role.Load(name, doc)
	if err != nil {
		return fmt.Errorf("server: CARDEA_ROLES: %w", err)
	}
	s.roles = role.NewLive(catalogue)
	if region := s.cfg.People.PhoneRegion; region != "" {
		if err := (phone.Reader{Region: region}).Check(); err != nil {
			return fmt.Errorf("server: CARDEA_PHONE_REGION: %w", err)
		}
	}
	return nil
}

// ReloadRoles reads the catalogue's file again. When it is wrong, the running catalogue stays.
func (s *Server) ReloadRoles(context.Context) error {
	name, doc, err := presets.ReadRoles(s.cfg.People.Roles, os.ReadFile)
	if err != nil {
		return fmt.Errorf("server: CARDEA_ROLES: %w", err)
	}
	if err := s.roles.Reload(name, doc); err != nil {
		return fmt.Errorf("server: CARDEA_ROLES: %w", err)
	}
	return nil
}

// permissions is what a role in a tenant puts into a token.
func (s *Server) permissions(name string) []string { return s.roles.Get().Permissions(name) }

// openSingleTenant makes the one tenant of the installation, once.
func (s *Server) openSingleTenant(ctx context.Context) (auth.ID, error) {
	slug := s.cfg.People.SingleTenant
	if slug == "" {
		return auth.ID{}, nil
	}
	if _, err := flow.ReadSlug(slug); err != nil {
		return auth.ID{}, wrapTenant(err)
	}
	for range 2 {
		t, err := s.store.TenantBySlug(ctx, slug)
		if err == nil || !errors.Is(err, auth.ErrNotFound) {
			return t.ID, wrapTenant(err)
		}
		now := auth.Truncate(s.opt.Now())
		id, err := auth.NewID(now, s.opt.Rand)
		if err != nil {
			return id, err //nolint:wrapcheck // names itself
		}
		auditID, err := auth.NewID(now, s.opt.Rand)
		if err != nil {
			return id, err //nolint:wrapcheck // names itself
		}
		err = s.store.CreateTenant(ctx, auth.Tenant{ID: id, Slug: slug, Name: slug, Active: true, Settings: []byte(`{}`), CreatedAt: now, UpdatedAt: now}, nil,
			auth.AuditEntry{ID: auditID, At: now, Action: "tenant_created", LogType: "tenant", Traits: map[string]any{"slug": slug, "by": "configuration"}})
		if err == nil || !errors.Is(err, auth.ErrSlugTaken) {
			return id, wrapTenant(err)
		}
	}
	return auth.ID{}, fmt.Errorf("server: the tenant %q can be neither found nor made", slug)
}

func wrapTenant(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("server: CARDEA_SINGLE_TENANT: %w", err)
}

// apis are the surfaces beside the Supabase one.
type apis struct {
	accounts  *flow.Accounts // with the issuer of /api/auth
	people    *flow.People
	tenancy   *flow.Tenancy
	privacy   *flow.Privacy
	callers   *web.Callers
	webhooks  *flow.Webhooks
	consents  *flow.Consents
	redirects *redirect.Rules
	phones    flow.PhoneReader  // nil: E.164 only
	limiter   *ratelimit.Memory // nil: no limits
}

// peopleFlows completes the flows for People and Tenancy; tokens live as long as /api/auth's.
func (s *Server) peopleFlows(c flow.Config, single auth.ID) flow.Config {
	p := &s.cfg.People
	c.Issuer = s.restIssuer()
	c.IDTokens = s.idTokens()
	c.PeopleStore, c.TenantStore, c.Identifiers = s.store, s.store, s.store
	c.SingleTenant, c.Verification, c.MinAge = single, p.Verification, p.MinAge
	for _, app := range p.Apps {
		c.Apps = append(c.Apps, flow.App(app))
	}
	if p.MinAge == 0 {
		c.MinAge = -1 // any
	}
	if p.PhoneRegion != "" {
		c.Phones = phone.Reader{Region: p.PhoneRegion}
	}
	return c
}

// restIssuer issues the tokens of /api/auth.
func (s *Server) restIssuer() token.Shorter {
	return token.Shorter{Ring: s.ring, TTL: s.cfg.People.TokenTTL}
}

// apis makes what the surfaces share.
func (s *Server) apis(c flow.Config, single auth.ID, redirects *redirect.Rules) (*apis, error) {
	c = s.peopleFlows(c, single)
	if err := s.openProvisioning(c); err != nil {
		return nil, err
	}
	a := &apis{accounts: flow.NewAccounts(c), people: flow.NewPeople(c), tenancy: flow.NewTenancy(c), privacy: s.privacy(c), redirects: redirects, phones: c.Phones}
	a.consents = flow.NewConsents(c, s.store, s.purposes)
	a.webhooks = flow.NewWebhooks(c, s.store, s.receiver, s.cfg.Webhooks.Undated)
	a.callers = &web.Callers{
		Verifier: s.trusted, APIKeys: s.apiKeys, AdminRoles: s.cfg.JWT.AdminRoles, Own: s.cfg.JWT.Issuer,
		Alive: func(ctx context.Context, caller auth.Caller) error {
			_, err := a.accounts.User(ctx, caller)
			return err //nolint:wrapcheck // an *auth.Error for the caller
		},
	}
	if s.syncer != nil {
		a.callers.Local = s.local
	}
	return a, nil
}

// mountAPIs mounts what the configuration names.
func (s *Server) mountAPIs(mux *http.ServeMux, a *apis, grants rest.Grants) {
	mounted := func(name string) bool { return slices.Contains(s.cfg.Surfaces, name) }
	ours := *a.callers // nobody of another issuer's gets an account by asking here
	ours.Local = nil
	operators := adminapi.Handler(adminapi.Config{
		Callers: &ours, Admin: s.admin, People: a.people, Tenancy: a.tenancy, Privacy: a.privacy, Consents: a.consents,
		Operations: flow.NewOperations(s.flows, s.store, s.ring, s.apiKeys), Redirects: a.redirects, Roles: s.roles.Get, ReloadRoles: s.ReloadRoles,
	})
	s.adminAPI = http.StripPrefix(adminPath, operators)
	if mounted(config.SurfaceAdmin) {
		mux.Handle(adminPath+"/", s.adminAPI)
	}
	if mounted(config.SurfaceREST) {
		h := rest.Handler(rest.Config{
			Accounts: a.accounts, People: a.people, Tenancy: a.tenancy, Privacy: a.privacy, Consents: a.consents, Grants: grants, Callers: a.callers, Redirects: a.redirects,
			Phones: a.phones, Ping: s.store.Ping, Relay: s.relay(a),
		})
		for _, path := range rest.Paths() {
			if path != "/health" || !s.cfg.RootMount { // behind a gateway that strips /auth/v1 it is GoTrue's
				mux.Handle(path, h)
			}
		}
	}
	if mounted(config.SurfaceMirror) {
		mux.Handle(mirrorPath+"/", http.StripPrefix(mirrorPath, mirror.Handler(mirror.Config{
			Accounts: a.accounts, People: a.people, Privacy: a.privacy, Callers: a.callers, Webhooks: a.webhooks,
			GoogleWebClientID: s.cfg.People.GoogleWebClientID, GoogleIOSClientID: s.cfg.People.GoogleIOSClientID,
			GoogleAndroidClientID: s.cfg.People.GoogleAndroidClientID,
			Limiter:               a.limiter, PerClient: ratelimit.Limit{Count: s.cfg.RateLimit.MirrorPerIP, Period: time.Minute},
		})))
	}
}

// wrapLegacy puts the old addresses before everything else, where they are mounted. Their
// paths begin with a language and a tenant, which no pattern of a mux can say.
func (s *Server) wrapLegacy(mux http.Handler, a *apis, grants legacy.Grants) http.Handler {
	if !slices.Contains(s.cfg.Surfaces, config.SurfaceLegacy) || s.relaying() {
		return mux
	}
	return legacy.Wrap(legacy.Config{
		Accounts: a.accounts, People: a.people, Tenancy: a.tenancy, Grants: grants, Callers: a.callers, Redirects: a.redirects,
	}, mux)
}

// AdminAPI gives the operators' API, mounted or not, for the command line.
func (s *Server) AdminAPI() http.Handler { return s.adminAPI }
