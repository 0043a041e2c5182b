package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
)

// App is one of the applications that people use this account for, each with an onboarding
// of its own.
type App struct {
	Name   string
	Fields []string // of the profile that it needs, of [AppFields]; nil: [StandardFields]
}

// AppFields are the fields that an application may need. An address counts when it is proved.
func AppFields() []string {
	return []string{fieldName, fieldBirth, fieldImage, fieldLanguage, fieldEmail, fieldPhone}
}

// StandardFields are needed where an application does not say (S2.39).
func StandardFields() []string { return []string{fieldName, fieldBirth} }

const (
	fieldName     = "full_name"
	fieldBirth    = "birth_date"
	fieldImage    = "image_url"
	fieldLanguage = "language"
	fieldEmail    = "email"
	fieldPhone    = "phone"
)

// Stages of [AuthState], in the order in which they are passed.
const (
	StageIdentifier = "identifier_verification"
	StagePassword   = "password_setup"
	StageProfile    = "profile_completion"
	StageOnboarding = "app_onboarding"
	StageActive     = "active"
)

// AuthState is how far somebody has come on the way into an application.
type AuthState struct {
	App     string // that was asked about; "" where there are none
	Stage   string
	Next    string   // what to do about it
	Missing []string // names of AppFields, at StageProfile only
	// Onboarded tells whether the onboarding of App has been completed, at whatever stage.
	Onboarded bool
}

// AuthState says what the caller has to do before an application lets him in; app "" is the
// first of the registry. It is computed from the account as it is at this moment, and nothing
// is kept: a gate that is stored stays open when what opened it has gone. What can't be read
// is CodeUnavailable, and a flag that can't be understood is not set: neither ever passes a
// stage (B2.34).
func (p *People) AuthState(ctx context.Context, c auth.Caller, app string) (AuthState, error) {
	_, wanted, err := p.atGate(ctx, c, app)
	if err != nil {
		return AuthState{}, err
	}
	person, err := p.c.person(ctx, c.UserID, auth.CodeTokenUserNotFound)
	if err != nil {
		return AuthState{}, unreadable(err)
	}
	return stateOf(&person, wanted), nil
}

// Onboard notes that the caller has completed the onboarding of an application, and gives the
// state after it. Earlier stages that are open stay open.
func (p *People) Onboard(ctx context.Context, c auth.Caller, app string) (AuthState, error) {
	user, wanted, err := p.atGate(ctx, c, app)
	if err != nil {
		return AuthState{}, err
	}
	if wanted.Name == "" {
		return AuthState{}, auth.E(auth.CodeAppUnknown, "")
	}
	s := standing{c: &p.c, user: user, meta: c.Meta}
	entry, err := p.c.auditBy(&s, "onboarding_completed", "user", map[string]any{"user_id": c.UserID.String(), "app": wanted.Name})
	if err != nil {
		return AuthState{}, err
	}
	flags := auth.MetadataPatch{Set: map[string]json.RawMessage{onboardingFlag(wanted.Name): json.RawMessage("true")}}
	person, err := p.c.updateProfile(ctx, c.UserID, auth.ProfilePatch{At: entry.At, Flags: flags, Audit: []auth.AuditEntry{entry}},
		auth.CodeTokenUserNotFound)
	if err != nil {
		return AuthState{}, unreadable(err)
	}
	return stateOf(&person, wanted), nil
}

// atGate finds out who asks, and about which application.
func (p *People) atGate(ctx context.Context, c auth.Caller, app string) (auth.User, App, error) {
	user, err := p.c.activeCaller(ctx, c)
	if err != nil {
		return auth.User{}, App{}, unreadable(err)
	}
	if app == "" && len(p.c.Apps) == 0 {
		return user, App{}, nil
	}
	i := 0
	if app != "" {
		i = slices.IndexFunc(p.c.Apps, func(a App) bool { return a.Name == app })
	}
	if i < 0 {
		return auth.User{}, App{}, auth.E(auth.CodeAppUnknown, "")
	}
	return user, p.c.Apps[i], nil
}

// unreadable makes the failure of a database one that says: try again.
func unreadable(err error) error {
	var known *auth.Error
	if errors.As(err, &known) {
		return err
	}
	return auth.Wrap(auth.CodeUnavailable, fmt.Errorf("flow: state of an account: %w", err))
}

// stateOf walks the stages, and stops at the first that is open.
func stateOf(person *auth.Person, app App) AuthState {
	u, onboarded := &person.User, hasFlag(person.Profile.Flags, onboardingFlag(app.Name))
	s := AuthState{App: app.Name, Onboarded: app.Name != "" && onboarded}
	missing := missingFields(person, app.Fields)
	switch {
	case !proved(u.Email, u.EmailConfirmedAt.IsZero()) && !proved(u.Phone, u.PhoneConfirmedAt.IsZero()):
		s.Stage, s.Next = StageIdentifier, "verify_identifier"
	case needsPassword(u):
		s.Stage, s.Next = StagePassword, "set_password"
	case len(missing) > 0:
		s.Stage, s.Next, s.Missing = StageProfile, "complete_profile", missing
	case app.Name != "" && !onboarded:
		s.Stage, s.Next = StageOnboarding, "complete_onboarding"
	default:
		s.Stage, s.Next = StageActive, "grant_access"
	}
	return s
}

// needsPassword: somebody who comes by another provider has his password there (S3.5).
func needsPassword(u *auth.User) bool {
	return u.PasswordHash == "" && !u.IsSSO && !slices.ContainsFunc(u.Identities, func(i auth.Identity) bool {
		return i.Provider != auth.ProviderEmail && i.Provider != auth.ProviderPhone
	})
}

// proved reports whether there is an address, and proof of it.
func proved(address string, unconfirmed bool) bool { return address != "" && !unconfirmed }

func missingFields(person *auth.Person, fields []string) []string {
	if fields == nil {
		fields = StandardFields()
	}
	u, p := &person.User, &person.Profile
	have := map[string]bool{
		fieldName: p.FullName != "", fieldBirth: p.BirthDate != "", fieldImage: p.ImageURL != "", fieldLanguage: p.Language != "",
		fieldEmail: proved(u.Email, u.EmailConfirmedAt.IsZero()), fieldPhone: proved(u.Phone, u.PhoneConfirmedAt.IsZero()),
	}
	var missing []string
	for _, name := range fields {
		if !have[name] { // a name that nobody knows is never there
			missing = append(missing, name)
		}
	}
	return missing
}

// onboardingFlag is the member of a profile's flags that says that somebody has completed the
// onboarding of an application (S2.26).
func onboardingFlag(app string) string { return app + "_onboarding_completed" }

// hasFlag reports whether a flag is set. What can't be read, or is anything but true, is not.
func hasFlag(doc json.RawMessage, name string) bool {
	var flags map[string]json.RawMessage
	var set bool
	return json.Unmarshal(doc, &flags) == nil && json.Unmarshal(flags[name], &set) == nil && set
}
