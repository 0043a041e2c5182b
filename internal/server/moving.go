package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/moving"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/password"
	"github.com/cardea-auth/cardea/internal/phone"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// Mover moves accounts in and out of the configured database. It is for the command line: an
// import asks nobody for permission.
type Mover struct {
	s *Server
	// Link takes the link of an account instead of the mail with it; nil: mail.
	Link func(email, link string) error
	// DryRun makes no tenants.
	DryRun bool
	// Roles are those that may do everything and may come in all the same.
	Roles []string

	source       string
	tenants      map[moving.Member]auth.ID
	tenantsMade  int
	tenantsFound int
}

// Mover gives what moves accounts. source names the other system.
func (s *Server) Mover(source string) *Mover {
	return &Mover{s: s, source: source, tenants: map[moving.Member]auth.ID{}}
}

// Store gives the database.
func (m *Mover) Store() interface {
	moving.Store
	moving.Copier
} {
	return m.s.store
}

// Tenants gives how many tenants of the other system were made, and how many were there.
func (m *Mover) Tenants() (made, found int) { return m.tenantsMade, m.tenantsFound }

// CanMail reports whether links can be mailed.
func (m *Mover) CanMail() bool { return m.s.admin.CanMail() }

// Rules gives the rules of this server for accounts that come in.
func (m *Mover) Rules() moving.Rules {
	s := m.s
	return moving.Rules{
		Audience: s.cfg.JWT.Audience, ValidHash: password.ValidHash, Phone: s.readPhone,
		Role: func(name string) bool {
			r, ok := s.roles.Get().Role(name)
			return ok && r.InApp() && m.mayBring(name)
		},
		TenantRole: func(name string) bool {
			r, ok := s.roles.Get().Role(name)
			return ok && r.InTenant() && m.mayBring(name)
		},
		Tenant: m.tenant, Invite: m.invite, Now: s.opt.Now, Rand: s.opt.Rand,
	}
}

// mayBring refuses roles that may do everything, unless they are named: what "admin" was in
// another system need not be what it is here, and whoever writes a file must not become it.
func (m *Mover) mayBring(name string) bool {
	return slices.Contains(m.Roles, name) || !slices.Contains(m.s.roles.Get().Permissions(name), "*")
}

// readPhone gives a number its one spelling.
func (s *Server) readPhone(text string) (string, error) {
	if region := s.cfg.People.PhoneRegion; region != "" {
		return phone.Reader{Region: region}.Canonical(text) //nolint:wrapcheck // an *auth.Error
	}
	return auth.NormalizePhone(text) //nolint:wrapcheck // an *auth.Error
}

// tenant finds the tenant of a membership, or makes the one that stands for an external one.
// Each is looked up once.
func (m *Mover) tenant(ctx context.Context, of moving.Member) (auth.ID, error) {
	key := moving.Member{Slug: of.Slug, External: of.External}
	if id, ok := m.tenants[key]; ok {
		return id, nil
	}
	if of.External == "" {
		t, err := m.s.store.TenantBySlug(ctx, of.Slug)
		if err != nil {
			return auth.ID{}, err //nolint:wrapcheck // auth.ErrNotFound is an answer
		}
		m.tenants[key] = t.ID
		return t.ID, nil
	}
	if m.DryRun {
		m.tenants[key] = auth.ID{}
		return auth.ID{}, nil
	}
	slug, err := flow.ReadSlug(moving.VendorSlug(of.External))
	if err != nil { // a number, say, or a word that is kept for us
		if slug, err = flow.ReadSlug("vendor-" + moving.VendorSlug(of.External)); err != nil {
			return auth.ID{}, auth.ErrNotFound
		}
	}
	now := auth.Truncate(m.s.opt.Now())
	ids := make([]auth.ID, 2)
	for i := range ids {
		if ids[i], err = auth.NewID(now, m.s.opt.Rand); err != nil {
			return auth.ID{}, err //nolint:wrapcheck // names itself
		}
	}
	t, made, err := m.s.store.MoveTenant(ctx, auth.TenantMove{
		Source: m.source, ExternalID: of.External,
		Tenant: auth.Tenant{ID: ids[0], Slug: slug, Name: of.External, Active: true, Settings: []byte(`{}`), CreatedAt: now, UpdatedAt: now},
		Audit: auth.AuditEntry{
			ID: ids[1], At: now, Action: "tenant_created", LogType: "tenant", ActorUsername: auth.RoleServiceRole,
			Traits: map[string]any{"slug": slug, "by": "import", "source": m.source},
		},
	})
	if err != nil {
		return auth.ID{}, err //nolint:wrapcheck // auth.ErrNotFound and auth.ErrSlugTaken are answers
	}
	if made {
		m.tenantsMade++
	} else {
		m.tenantsFound++
	}
	m.tenants[key] = t.ID
	return t.ID, nil
}

// invite makes the link by which the owner of an account sets a password.
func (m *Mover) invite(u *auth.User) ([]auth.OneTime, []auth.Message, error) {
	token, message, err := m.s.admin.PasswordLink(u, "")
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // names itself
	}
	if m.Link == nil {
		return []auth.OneTime{token}, []auth.Message{message}, nil
	}
	open, err := notify.Open(m.s.messages.box, message)
	if err != nil {
		return nil, nil, fmt.Errorf("server: link: %w", err)
	}
	return []auth.OneTime{token}, nil, m.Link(u.Email, open.Vars.ConfirmationURL)
}

// Audit is the entry of a batch: how far an import has come. Whose accounts they are is in the
// table of what was moved.
func (m *Mover) Audit(p *auth.MoveProgress) (auth.AuditEntry, error) {
	id, err := auth.NewID(p.UpdatedAt, m.s.opt.Rand)
	return auth.AuditEntry{
		ID: id, At: p.UpdatedAt, Action: "users_imported", LogType: "team", ActorUsername: auth.RoleServiceRole,
		Traits: map[string]any{"import": p.Name, "source": p.Source, "position": p.Position},
	}, err //nolint:wrapcheck // names itself
}

// Recorded writes to the audit log that accounts were exported, before they are.
func (m *Mover) Recorded(ctx context.Context, hashes bool) error {
	now := auth.Truncate(m.s.opt.Now())
	id, err := auth.NewID(now, m.s.opt.Rand)
	if err != nil {
		return err //nolint:wrapcheck // names itself
	}
	err = m.s.store.WriteAudit(ctx, auth.AuditEntry{
		ID: id, At: now, Action: "users_exported", LogType: "team", ActorUsername: auth.RoleServiceRole,
		Traits: map[string]any{"password_hashes": hashes},
	})
	if err != nil {
		return fmt.Errorf("server: write audit: %w", err)
	}
	return nil
}

// ErrNoForeign says that there is no such database to read from.
var ErrNoForeign = errors.New("server: the other database can't be read")

// ReadForeign gives the rows of another PostgreSQL database as JSON documents: GoTrue's users
// with the id after the given one, or all rows of a table, without the column "password".
func ReadForeign(ctx context.Context, url, table, after string) (*postgres.Foreign, error) {
	f, err := postgres.OpenForeign(ctx, url, table, after)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoForeign, err)
	}
	return f, nil
}
