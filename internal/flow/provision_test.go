package flow_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/store"
	"github.com/cardea-auth/cardea/usersync"
)

const project = "https://project.example/auth/v1"

// arrival is what an issuer vouches for; a "?" behind an address means that nobody proved it.
func arrival(subject, email, phone string) usersync.Identity {
	id := usersync.Identity{Issuer: project, Subject: subject, Email: email, Phone: phone, EmailVerified: email != "", PhoneVerified: phone != "", AuthProvider: "google"}
	if n := len(email); n > 0 && email[n-1] == '?' {
		id.Email, id.EmailVerified = email[:n-1], false
	}
	if n := len(phone); n > 0 && phone[n-1] == '?' {
		id.Phone, id.PhoneVerified = phone[:n-1], false
	}
	return id
}

// relayHouse is a house with a Provisioner.
func relayHouse(t *testing.T) (*house, *flow.Provisioner, store.Store) {
	t.Helper()
	h := inHouse(t)
	db, ok := h.config.Store.(store.Store)
	if !ok {
		t.Fatal("no store")
	}
	return h, flow.NewProvisioner(h.config, db, map[string]string{project: "project"}), db
}

func (h *house) arrive(p *flow.Provisioner, id usersync.Identity) usersync.Result {
	h.t.Helper()
	h.tick()
	newID, err := auth.NewID(h.clock, h.config.Rand)
	if err != nil {
		h.t.Fatal(err)
	}
	got, err := p.Sync(h.t.Context(), usersync.Request{Identity: id, At: h.clock, NewID: newID.String(), Asked: true})
	if err != nil {
		h.t.Fatalf("%+v: %v", id, err)
	}
	return got
}

// A15.2, S2.28, S2.29, S2.32: the table of linking, on Cardea's own accounts.
func TestProvisionTable(t *testing.T) {
	t.Parallel()
	const number, other = "972501234567", "972509999999"
	make := func(h *house, email, phone string, proved bool) string {
		u, err := h.admin.Create(h.t.Context(), flow.NewUser{Email: email, Phone: phone, EmailConfirm: proved, PhoneConfirm: proved, Password: "long enough"}, auth.Meta{})
		if err != nil {
			h.t.Fatal(err)
		}
		return u.ID.String()
	}
	type account struct {
		Email, Phone   string
		EmailV, PhoneV bool
	}
	for _, c := range []struct {
		name string
		with func(h *house, p *flow.Provisioner) string // an account that is there
		id   usersync.Identity
		same bool // the account that is there is meant
		want account
		does usersync.Action
	}{
		{"nobody there", func(*house, *flow.Provisioner) string { return "" }, arrival("s", "ada@x.org", number), false, account{"ada@x.org", number, true, true}, usersync.ActionCreate},
		{"unproved addresses are not stored", func(*house, *flow.Provisioner) string { return "" }, arrival("s", "ada@x.org?", number+"?"), false, account{}, usersync.ActionCreate},
		{"a proved e-mail address links", func(h *house, _ *flow.Provisioner) string { return make(h, "ada@x.org", "", true) }, arrival("s", "Ada@X.org", ""), true, account{"ada@x.org", "", true, false}, usersync.ActionRepoint},
		{"a proved number links, and fills in the address", func(h *house, _ *flow.Provisioner) string { return make(h, "", number, true) }, arrival("s", "ada@x.org", "+"+number), true, account{"ada@x.org", number, true, true}, usersync.ActionRepoint},
		{"an unproved e-mail address of the token never links", func(h *house, _ *flow.Provisioner) string { return make(h, "ada@x.org", "", true) }, arrival("s", "ada@x.org?", ""), false, account{}, usersync.ActionCreate},
		{"one that nobody here has proved never links, and is not taken", func(h *house, _ *flow.Provisioner) string { return make(h, "ada@x.org", "", false) }, arrival("s", "ada@x.org", ""), false, account{}, usersync.ActionCreate},
		{"values are never overwritten", func(h *house, p *flow.Provisioner) string {
			return h.arrive(p, arrival("s", "ada@x.org", number)).User.ID
		}, arrival("s", "new@x.org", other), true, account{"ada@x.org", number, true, true}, usersync.ActionUpdate},
		{"nobody is linked by an address that its owner has left there", func(h *house, p *flow.Provisioner) string {
			u := h.arrive(p, arrival("owner", "ada@x.org", "")).User
			h.arrive(p, arrival("owner", "new@x.org", ""))
			return u.ID
		}, arrival("s", "ada@x.org", ""), false, account{}, usersync.ActionCreate},
		{"flags never fall", func(h *house, p *flow.Provisioner) string { return h.arrive(p, arrival("s", "ada@x.org", "")).User.ID }, arrival("s", "ada@x.org?", ""), true, account{"ada@x.org", "", true, false}, usersync.ActionNone},
		{"what is lacking is filled in", func(h *house, p *flow.Provisioner) string { return h.arrive(p, arrival("s", "", number)).User.ID }, arrival("s", "ada@x.org", number), true, account{"ada@x.org", number, true, true}, usersync.ActionUpdate},
		{"unless another account has it", func(h *house, p *flow.Provisioner) string {
			make(h, "ada@x.org", "", true)
			return h.arrive(p, arrival("s", "", number)).User.ID
		}, arrival("s", "ada@x.org", number), true, account{"", number, false, true}, usersync.ActionNone},
		{"a new subject takes the place of the old one", func(h *house, p *flow.Provisioner) string {
			return h.arrive(p, arrival("old", "ada@x.org", "")).User.ID
		}, arrival("s", "ada@x.org", ""), true, account{"ada@x.org", "", true, false}, usersync.ActionRepoint},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, p, db := relayHouse(t)
			there := c.with(h, p)
			got := h.arrive(p, c.id)
			if got.Plan.Action != c.does || (got.User.ID == there) != c.same {
				t.Errorf("%s %s, there was %s", got.Plan.Action, got.User.ID, there)
			}
			if d := cmp.Diff(c.want, account{got.User.Email, got.User.Phone, got.User.EmailVerified, got.User.PhoneVerified}); d != "" {
				t.Error(d)
			}
			id, err := auth.ParseID(got.User.ID)
			if err != nil {
				t.Fatal(err)
			}
			person, err := db.PersonByID(t.Context(), id)
			if err != nil || person.Profile.UserID.IsZero() {
				t.Errorf("no profile (S3.8): %v", err)
			}
			found, err := p.Find(t.Context(), project, "s")
			if d := cmp.Diff(got.User, found); d != "" || err != nil {
				t.Errorf("%v\n%s", err, d)
			}
		})
	}
}

// S2.28, A15.5: a ban holds for a new subject with the proved address; the account of a
// deleted one is not made again. The nil UUID and what is no UUID is nobody's id.
func TestProvisionRefuses(t *testing.T) {
	t.Parallel()
	h, p, db := relayHouse(t)
	banned := h.arrive(p, arrival("banned", "eve@x.org", "")).User
	id, err := auth.ParseID(banned.ID)
	if err != nil {
		t.Fatal(err)
	}
	year := 365 * 24 * time.Hour
	if _, err := h.admin.Update(t.Context(), id, flow.UserChange{BanFor: &year}, auth.Meta{}); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"banned", "another"} {
		if got := h.arrive(p, arrival(subject, "eve@x.org", "")); got.Plan.Action != usersync.ActionRefuse || got.User.ID != banned.ID {
			t.Errorf("%s: %+v", subject, got)
		}
	}
	gone := h.arrive(p, arrival("gone", "gone@x.org", "")).User
	if id, err = auth.ParseID(gone.ID); err != nil {
		t.Fatal(err)
	}
	h.ok("delete", h.admin.Delete(t.Context(), id, false, auth.Meta{}))
	if got := h.arrive(p, arrival("gone", "gone@x.org", "")); got.Plan.Action != usersync.ActionRefuse || got.User.Status != usersync.StatusDeleted {
		t.Errorf("%+v", got)
	}
	for _, subject := range []string{"00000000-0000-0000-0000-000000000000", "auth0|7", "1"} {
		got := h.arrive(p, arrival(subject, "", ""))
		if got.User.ID == subject || got.Plan.Action != usersync.ActionCreate {
			t.Errorf("%s: %+v", subject, got)
		}
	}
	_, err = db.UserByEmail(t.Context(), "gone@x.org", "authenticated")
	if !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("the deleted one is back: %v", err)
	}
}

// An account has the role of everybody, the names and the identity; what the person says of
// roles means nothing. Edit fills profiles and closes nothing.
func TestProvisionedAccount(t *testing.T) {
	t.Parallel()
	h, _, db := relayHouse(t)
	h.config.DefaultRole = "user"
	p := flow.NewProvisioner(h.config, db, map[string]string{project: "project"})
	id := arrival("6f9f4e0a-3f6a-4a39-9a1d-0c5f6f1f2a3b", "ada@x.org", "")
	id.Profile = usersync.Profile{FirstName: "Ada", FullName: "<b>Ada</b> Lovelace", AvatarURL: "https://a.example/a.png", Locale: "not a language!"}
	u := h.arrive(p, id).User
	if u.ID != id.Subject || u.Profile.FirstName != "Ada" || u.Profile.FullName != "Ada Lovelace" || u.Profile.Locale != "" {
		t.Errorf("%+v", u)
	}
	own, err := auth.ParseID(u.ID)
	if err != nil {
		t.Fatal(err)
	}
	account, err := db.UserByID(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	var app struct {
		Provider string
		Roles    []string
	}
	if err := json.Unmarshal(account.AppMetadata, &app); err != nil || app.Provider != "project" || len(app.Roles) != 1 || account.Role != "authenticated" {
		t.Errorf("%s %s %v", account.AppMetadata, account.Role, err)
	}
	if len(account.Identities) != 1 || account.Identities[0].ProviderID != id.Subject || account.Identities[0].Provider != "project" || account.PasswordHash != "" {
		t.Errorf("%+v", account.Identities)
	}
	u, err = p.Edit(t.Context(), usersync.Edit{ID: u.ID, At: h.clock, Fill: usersync.Profile{FirstName: "Eve", LastName: "Lovelace", Locale: "he"}})
	if err != nil || u.Profile.FirstName != "Ada" || u.Profile.LastName != "Lovelace" || u.Profile.Locale != "he" {
		t.Errorf("%+v %v", u.Profile, err)
	}
	if _, err := p.Edit(t.Context(), usersync.Edit{ID: u.ID, At: h.clock, Status: usersync.StatusDeleted}); !errors.Is(err, usersync.ErrFinal) {
		t.Errorf("%v", err)
	}
	for _, id := range []string{"x", "019ca869-0000-7000-8000-000000000000"} {
		if _, err := p.Get(t.Context(), id); !errors.Is(err, usersync.ErrNoUser) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
