package flow_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/role"
)

// rolesDoc is a catalogue with what the presets have: roles of the application and of
// tenants, some that anybody may take, one that has to be approved, all levels of power.
const rolesDoc = `
permissions:
  record:read: Read records
  record:write: Write records
  billing:read: Read bills
roles:
  user: {self_assignable: true}
  patient: {scope: both, self_assignable: true, permissions: [record:read]}
  physician: {scope: both, level: 50, approval: true, permissions: ["record:*"]}
  agent: {level: 20, permissions: ["customer:*"]}
  clerk: {level: 30, permissions: [user:read, user:update, role:assign, relation:write]}
  maker: {permissions: [tenant:create]}
  admin: {level: 100, permissions: ["*"]}
  viewer: {scope: tenant, level: 5, permissions: [tenant:read]}
  assistant: {scope: tenant, level: 10, permissions: [tenant:read, member:read, member:invite]}
  biller: {scope: tenant, level: 10, permissions: [tenant:read, billing:read]}
  manager: {scope: tenant, level: 50, inherits: [assistant], permissions: ["member:*", "relation:*", tenant:update, record:read]}
  owner: {scope: tenant, level: 100, owner: true, permissions: ["*"]}
`

func catalogue(t *testing.T) *role.Live {
	t.Helper()
	c, err := role.Load("roles.yaml", []byte(rolesDoc))
	if err != nil {
		t.Fatal(err)
	}
	return role.NewLive(c)
}

// directory is people, tenants, memberships and relations in memory, with the store's
// rules. broken makes a method fail.
type directory struct {
	t         *testing.T
	people    map[auth.ID]*auth.Person
	tenants   map[auth.ID]*auth.Tenant
	members   []auth.Membership
	relations []auth.Relation
	sessions  []auth.Session
	audit     []auth.AuditEntry
	broken    map[string]error
	calls     []string
	queries   []auth.PersonQuery
	// between runs once, before a write: what somebody else does at the same time.
	between func()
}

func (d *directory) call(name string) error {
	d.calls = append(d.calls, name)
	return d.broken[name]
}

func (d *directory) race() {
	if f := d.between; f != nil {
		d.between = nil
		f()
	}
}

func (d *directory) PersonByID(_ context.Context, id auth.ID) (auth.Person, error) {
	if err := d.call("PersonByID"); err != nil {
		return auth.Person{}, err
	}
	if p, ok := d.people[id]; ok {
		return *p, nil
	}
	return auth.Person{}, auth.ErrNotFound
}

func (d *directory) UpdateProfile(_ context.Context, id auth.ID, p auth.ProfilePatch) (auth.Person, error) {
	if err := d.call("UpdateProfile"); err != nil {
		return auth.Person{}, err
	}
	person, ok := d.people[id]
	if !ok {
		return auth.Person{}, auth.ErrNotFound
	}
	f := &person.Profile
	for to, from := range map[*string]*string{
		&f.FullName: p.FullName, &f.BirthDate: p.BirthDate, &f.ImageURL: p.ImageURL, &f.Language: p.Language, &f.LastMethod: p.LastMethod,
	} {
		if from != nil {
			*to = *from
		}
	}
	for to, from := range map[*json.RawMessage]auth.MetadataPatch{
		&f.Preferences: p.Preferences, &f.Notifications: p.Notifications, &f.Privacy: p.Privacy, &f.Flags: p.Flags,
	} {
		*to = d.merge(*to, from)
	}
	for name, patch := range p.Extensions {
		if f.Extensions == nil {
			f.Extensions = map[string]json.RawMessage{}
		}
		f.Extensions[name] = d.merge(f.Extensions[name], patch)
	}
	if p.Active != nil {
		f.Active = *p.Active
	}
	if p.EndSessions {
		d.sessions = slices.DeleteFunc(d.sessions, func(s auth.Session) bool { return s.UserID == id })
	}
	d.audit = append(d.audit, p.Audit...)
	return *person, nil
}

func (d *directory) merge(doc json.RawMessage, p auth.MetadataPatch) json.RawMessage {
	object := map[string]json.RawMessage{}
	if len(doc) > 0 {
		if err := json.Unmarshal(doc, &object); err != nil {
			d.t.Error(err)
		}
	}
	for _, k := range p.Delete {
		delete(object, k)
	}
	for k, v := range p.Set {
		object[k] = v
	}
	raw, err := json.Marshal(object)
	if err != nil {
		d.t.Error(err)
	}
	return raw
}

func (d *directory) ListPeople(_ context.Context, q auth.PersonQuery) ([]auth.Person, error) {
	d.queries = append(d.queries, q)
	return nil, d.call("ListPeople")
}

func (d *directory) SessionsOf(_ context.Context, id auth.ID) ([]auth.Session, error) {
	return slices.DeleteFunc(slices.Clone(d.sessions), func(s auth.Session) bool { return s.UserID != id }), d.call("SessionsOf")
}

func (d *directory) session(user, id auth.ID) int {
	return slices.IndexFunc(d.sessions, func(s auth.Session) bool { return s.ID == id && s.UserID == user })
}

func (d *directory) NameSession(_ context.Context, user, id auth.ID, name string) error {
	i := d.session(user, id)
	if i < 0 {
		return auth.ErrNotFound
	}
	d.sessions[i].Name = name
	return d.call("NameSession")
}

func (d *directory) EndSession(_ context.Context, user, id auth.ID, audit auth.AuditEntry) error {
	i := d.session(user, id)
	if i < 0 {
		return auth.ErrNotFound
	}
	d.sessions, d.audit = slices.Delete(d.sessions, i, i+1), append(d.audit, audit)
	return d.call("EndSession")
}

// The people and tenants of a town. Ids are their numbers.
const (
	ann     = byte(1) // nobody in particular
	bob     = byte(2) // the same
	agent   = byte(3) // an agent, of ann
	clerk   = byte(4) // may read and change people, and give roles up to his own
	boss    = byte(5) // admin of the application
	owner   = byte(6) // of tenant a
	manager = byte(7) // of tenant a
	helper  = byte(8) // assistant in tenant a: may invite
	other   = byte(9) // owner of tenant b

	tenantA = byte(101)
	tenantB = byte(102)
)

func id(n byte) auth.ID { return auth.ID{15: n} }

// town is a bench with people in tenants. Every person's session has the id 200 + number.
type town struct {
	*bench
	d    *directory
	post *postbox
}

func inTown(t *testing.T) *town {
	t.Helper()
	b, post := messages(t)
	d := &directory{t: t, people: map[auth.ID]*auth.Person{}, tenants: map[auth.ID]*auth.Tenant{}, broken: map[string]error{}}
	w := &town{b, d, post}
	for n, r := range map[byte]string{ann: "user", bob: "user", agent: "agent", clerk: "clerk", boss: "admin", owner: "user", manager: "user", helper: "user", other: "user"} {
		u := account()
		u.ID, u.Email, u.Phone = id(n), string(rune('a'+n))+"@x.org", ""
		u.AppMetadata, u.UpdatedAt = json.RawMessage(`{"provider":"email","roles":["`+r+`"]}`), at()
		d.people[u.ID] = &auth.Person{User: u, Profile: auth.Profile{UserID: u.ID, Active: true}}
		d.sessions = append(d.sessions, auth.Session{ID: id(200 + n), UserID: u.ID, AAL: auth.AAL1})
	}
	for n, slug := range map[byte]string{tenantA: "clinic-a", tenantB: "clinic-b"} {
		d.tenants[id(n)] = &auth.Tenant{ID: id(n), Slug: slug, Name: slug, Active: true, Settings: json.RawMessage(`{}`), CreatedAt: at(), UpdatedAt: at()}
	}
	w.join(tenantA, owner, "owner", auth.MemberActive)
	w.join(tenantA, manager, "manager", auth.MemberActive)
	w.join(tenantA, helper, "assistant", auth.MemberActive)
	w.join(tenantB, other, "owner", auth.MemberActive)
	d.relations = []auth.Relation{{ID: id(250), Kind: auth.RelationAgent, SubjectID: id(agent), ObjectID: id(ann), StartsAt: at().Add(-time.Hour)}}
	c := &b.config
	c.PeopleStore, c.TenantStore, c.Roles, c.MinAge = d, d, catalogue(t), 18
	w.serve()
	return w
}

// serve makes the store answer with the people of the directory.
func (w *town) serve() {
	find := func(is func(*auth.User) bool) (auth.User, error) {
		for _, p := range w.d.people {
			if is(&p.User) {
				return p.User, nil
			}
		}
		return auth.User{}, auth.ErrNotFound
	}
	s := w.store
	s.byEmail = func(email, _ string) (auth.User, error) {
		return find(func(u *auth.User) bool { return u.Email == email })
	}
	s.byPhone = func(phone, _ string) (auth.User, error) {
		return find(func(u *auth.User) bool { return u.Phone == phone })
	}
	s.withSession = func(user, session auth.ID) (auth.UserSession, error) {
		p, ok := w.d.people[user]
		if !ok {
			return auth.UserSession{}, auth.ErrNotFound
		}
		return auth.UserSession{User: p.User, Session: w.d.session(user, session) >= 0, Inactive: !p.Profile.Active}, nil
	}
	s.update = func(user auth.ID, p auth.UserPatch) (auth.User, error) {
		w.d.race()
		person, ok := w.d.people[user]
		if !ok || !p.RequireUpdatedAt.IsZero() && !p.RequireUpdatedAt.Equal(person.User.UpdatedAt) {
			return auth.User{}, auth.ErrNotFound
		}
		u := &person.User
		for _, o := range w.d.people {
			if p.Email != nil && o.User.ID != user && o.User.Email == *p.Email {
				return auth.User{}, auth.ErrEmailTaken
			}
		}
		if u.UpdatedAt = p.At; p.Email != nil {
			u.Email, u.EmailConfirmedAt = *p.Email, *p.EmailConfirmedAt
		}
		u.AppMetadata = w.d.merge(u.AppMetadata, p.AppMetadata)
		w.d.audit = append(w.d.audit, p.Audit...)
		return *u, nil
	}
	s.create = func(a auth.NewAccount) error {
		for _, o := range w.d.people {
			if a.User.Email != "" && o.User.Email == a.User.Email {
				return auth.ErrEmailTaken
			}
		}
		w.d.people[a.User.ID] = &auth.Person{User: a.User, Profile: auth.Profile{Active: true}}
		w.d.members, w.d.audit = append(w.d.members, a.Memberships...), append(w.d.audit, a.Audit...)
		return nil
	}
	s.issue = func(auth.IssueOneTime) error { return nil }
}

func (w *town) people() *flow.People   { return flow.NewPeople(w.config) }
func (w *town) tenancy() *flow.Tenancy { return flow.NewTenancy(w.config) }

func (w *town) join(tenant, user byte, r, state string) {
	w.d.members = append(w.d.members, auth.Membership{TenantID: id(tenant), UserID: id(user), Role: r, State: state, CreatedAt: at(), UpdatedAt: at()})
}

// membership gives one of the directory; zero for none.
func (w *town) membership(tenant, user byte) auth.Membership {
	if i := w.d.member(id(tenant), id(user)); i >= 0 {
		return w.d.members[i]
	}
	return auth.Membership{}
}

func me(n byte) auth.Caller {
	c := caller()
	c.UserID, c.SessionID = id(n), id(200+n)
	return c
}

func by(n byte) flow.Actor { return flow.Actor{Caller: me(n), Reason: "because"} }

func anOperator() flow.Actor {
	return flow.Actor{Operator: true, Reason: "because", Caller: auth.Caller{Meta: auth.Meta{IP: "192.0.2.1"}}}
}

// audited wants one entry of the action, by the actor, about the subject, with the reason.
func (w *town) audited(t *testing.T, action string, actor auth.ID, subject string) {
	t.Helper()
	for _, e := range w.d.audit {
		if e.Action == action && e.ActorID == actor {
			if e.Traits["user_id"] != subject && e.Traits["tenant_id"] != subject && e.Traits["object_id"] != subject && e.Traits["subject_id"] != subject || e.Traits["reason"] != "because" || e.IP != "192.0.2.1" {
				t.Errorf("entry %+v", e)
			}
			return
		}
	}
	t.Errorf("no entry %s by %s in %+v", action, actor, w.d.audit)
}

// untouched wants that nothing has been written.
func (w *town) untouched(t *testing.T) {
	t.Helper()
	if len(w.d.audit) > 0 {
		t.Errorf("something has been done: %+v", w.d.audit)
	}
}
