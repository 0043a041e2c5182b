package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

// ProfileChange is a change of a person. Nil fields stay; "" empties a field; null in an
// object deletes a member.
type ProfileChange struct {
	FullName      *string // 2 to 100 characters; markup is taken out
	BirthDate     *string // YYYY-MM-DD, within the ages of the configuration
	ImageURL      *string // absolute, http or https
	Language      *string // BCP 47
	Preferences   map[string]json.RawMessage
	Notifications map[string]json.RawMessage
	Privacy       map[string]json.RawMessage
	Flags         map[string]json.RawMessage            // booleans
	Extensions    map[string]map[string]json.RawMessage // "physician", "staff", "agent"
	Email         *string                               // waits until it is proved, when one changes one's own
	Phone         *string
}

// ofAgents reports whether the change is one that agents may make (S2.22).
func (in *ProfileChange) ofAgents() bool {
	return in.BirthDate == nil && in.Language == nil && in.Flags == nil && in.Extensions == nil && in.Email == nil && in.Phone == nil
}

// fields names what is changed, for the audit: never the values.
func (in *ProfileChange) fields() []string {
	var names []string
	for name, set := range map[string]bool{
		"full_name": in.FullName != nil, "birth_date": in.BirthDate != nil, "image_url": in.ImageURL != nil,
		"language": in.Language != nil, "preferences": in.Preferences != nil, "notifications": in.Notifications != nil,
		"privacy": in.Privacy != nil, "flags": in.Flags != nil, "extensions": in.Extensions != nil,
		"email": in.Email != nil, "phone": in.Phone != nil,
	} {
		if set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// UpdateMe changes the caller's own profile and addresses. A new address waits for its proof
// as in [Accounts.Update]. An extension can't be made, nor the members that are an
// administrator's be changed: services take a physician's profile for the proof that
// somebody is one.
func (p *People) UpdateMe(ctx context.Context, c auth.Caller, in ProfileChange) (auth.Person, error) {
	user, err := p.c.activeCaller(ctx, c)
	if err != nil {
		return auth.Person{}, err
	}
	patch, err := p.c.profilePatch(&in)
	if err != nil {
		return auth.Person{}, err
	}
	if len(in.Extensions) > 0 {
		if err := p.checkOwnExtensions(ctx, c.UserID, in.Extensions); err != nil {
			return auth.Person{}, err
		}
	}
	if err := p.changeAddresses(ctx, c, in.Email, in.Phone); err != nil {
		return auth.Person{}, err
	}
	if patchesNothing(&patch) {
		return p.c.person(ctx, c.UserID, auth.CodeTokenUserNotFound)
	}
	s := standing{c: &p.c, user: user, meta: c.Meta}
	entry, err := p.c.auditBy(&s, "profile_modified", "user", map[string]any{"user_id": c.UserID.String(), "fields": in.fields()})
	if err != nil {
		return auth.Person{}, err
	}
	patch.Audit = []auth.AuditEntry{entry}
	return p.c.updateProfile(ctx, c.UserID, patch, auth.CodeTokenUserNotFound)
}

// SetPhone changes the caller's phone number. It waits for its proof.
func (p *People) SetPhone(ctx context.Context, c auth.Caller, phone string) (auth.Person, error) {
	return p.UpdateMe(ctx, c, ProfileChange{Phone: &phone})
}

// changeAddresses begins the change of one's own addresses. One that belongs to somebody
// else is told as such where answers are explicit; else nothing changes, without a word,
// and the owner hears of it (X28).
func (p *People) changeAddresses(ctx context.Context, c auth.Caller, email, phone *string) error {
	if email == nil && phone == nil {
		return nil
	}
	in := Update{Email: email}
	if phone != nil {
		number, err := p.c.phone(*phone)
		if err != nil {
			return err
		}
		in.Phone = &number
	}
	_, err := p.accounts.Update(ctx, c, in)
	code := auth.CodeOf(err)
	if err == nil || p.c.ExplicitAnswers || code != auth.CodeEmailExists && code != auth.CodePhoneExists {
		return err
	}
	return p.tellOwner(ctx, &in, code)
}

// tellOwner tells whose address it is that somebody tried to use it.
func (p *People) tellOwner(ctx context.Context, in *Update, code auth.Code) error {
	email, phone := "", deref(in.Phone)
	if code == auth.CodeEmailExists {
		var err error
		if email, err = auth.NormalizeEmail(deref(in.Email)); err != nil {
			return err
		}
		phone = ""
	}
	owner, err := p.accounts.find(ctx, email, phone, p.c.Audience)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return nil
	case err != nil:
		return err
	case !p.c.tells(NoticeAccountExists) || owner.Email == "" || owner.EmailConfirmedAt.IsZero():
		return nil
	}
	return p.c.enqueueNotice(ctx, &owner, NoticeAccountExists)
}

// phone reads a number as the region writes it.
func (c *Config) phone(s string) (string, error) {
	if c.Phones == nil {
		return auth.NormalizePhone(s)
	}
	return c.Phones.Canonical(s) //nolint:wrapcheck // an *auth.Error for the caller
}

// SetLastMethod remembers how the caller signed in, one of [auth.LastMethods].
func (p *People) SetLastMethod(ctx context.Context, c auth.Caller, method string) error {
	if _, err := p.c.activeCaller(ctx, c); err != nil {
		return err
	}
	if !slices.Contains(auth.LastMethods(), method) {
		return auth.E(auth.CodeValidation, "method must be one of google, apple, email_password, phone_password, phone_otp, email_otp")
	}
	_, err := p.c.updateProfile(ctx, c.UserID, auth.ProfilePatch{At: p.c.now(), LastMethod: &method}, auth.CodeTokenUserNotFound)
	return err
}

// Change changes a person on behalf of an actor; see [People] for who may. Addresses are
// changed at once, and count as unproved: whoever types them for somebody else has not
// shown that they are theirs.
func (p *People) Change(ctx context.Context, a Actor, id auth.ID, in ProfileChange) (auth.Person, error) {
	s, err := p.c.standing(ctx, a)
	if err != nil {
		return auth.Person{}, err
	}
	switch {
	case !s.operator && id == s.user.ID:
		return p.UpdateMe(ctx, a.Caller, in)
	case s.may(role.UserUpdate):
	case !in.ofAgents():
		return auth.Person{}, forbidden(role.UserUpdate)
	default:
		if err := p.customerOf(ctx, &s, id, role.CustomerUpdate); err != nil {
			return auth.Person{}, err
		}
	}
	patch, err := p.c.profilePatch(&in)
	if err != nil {
		return auth.Person{}, err
	}
	person, err := p.inferior(ctx, &s, id)
	if err != nil {
		return auth.Person{}, err
	}
	entry, err := p.c.auditBy(&s, "profile_modified", "user", map[string]any{"user_id": id.String(), "fields": in.fields()})
	if err != nil {
		return auth.Person{}, err
	}
	if in.Email != nil || in.Phone != nil {
		if err := p.replaceAddresses(ctx, &person.User, &in, entry); err != nil {
			return auth.Person{}, err
		}
	} else {
		patch.Audit = []auth.AuditEntry{entry}
	}
	if patchesNothing(&patch) {
		return p.c.person(ctx, id, auth.CodeUserNotFound)
	}
	return p.c.updateProfile(ctx, id, patch, auth.CodeUserNotFound)
}

// replaceAddresses writes addresses of somebody else, and tells the address that was there.
func (p *People) replaceAddresses(ctx context.Context, u *auth.User, in *ProfileChange, entry auth.AuditEntry) error {
	if u.IsSSO {
		return auth.E(auth.CodeSSOManaged, "")
	}
	patch := auth.UserPatch{At: entry.At, Audit: []auth.AuditEntry{entry}}
	if in.Email != nil {
		email, err := auth.NormalizeEmail(*in.Email)
		if err != nil {
			return err
		}
		if email != u.Email {
			if err := p.replaceAddress(&patch, u, auth.ProviderEmail, email, p.c.EmailAutoconfirm); err != nil {
				return err
			}
		}
	}
	if in.Phone != nil {
		phone, err := p.c.phone(*in.Phone)
		if err != nil {
			return err
		}
		if phone != u.Phone {
			if err := p.replaceAddress(&patch, u, auth.ProviderPhone, phone, p.c.PhoneAutoconfirm); err != nil {
				return err
			}
		}
	}
	_, err := p.c.update(ctx, u.ID, patch, auth.CodeUserNotFound)
	return err
}

func (p *People) replaceAddress(patch *auth.UserPatch, u *auth.User, provider, address string, proved bool) error {
	var at time.Time
	if proved {
		at = patch.At
	}
	messages, err := p.c.tellReplaced(u, provider, address)
	if err != nil {
		return err
	}
	patch.Messages = append(patch.Messages, messages...)
	return p.c.setAddress(patch, u, provider, address, at)
}

// ownersNever are members of extensions that only others write.
func ownersNever() []string { return []string{"admin_settings", "employee_id"} }

// checkOwnExtensions refuses an extension that the person does not have, and members that
// are an administrator's.
func (p *People) checkOwnExtensions(ctx context.Context, id auth.ID, extensions map[string]map[string]json.RawMessage) error {
	person, err := p.c.person(ctx, id, auth.CodeTokenUserNotFound)
	if err != nil {
		return err
	}
	for name, members := range extensions {
		if _, ok := person.Profile.Extensions[name]; !ok {
			return auth.E(auth.CodeForbidden, "You have no "+name+" profile")
		}
		for _, never := range ownersNever() {
			if _, ok := members[never]; ok {
				return auth.E(auth.CodeForbidden, never+" can be changed by administrators only")
			}
		}
	}
	return nil
}

// extensionNames are the extensions that a profile may have.
func extensionNames() []string { return []string{"agent", "physician", "staff"} }

// profilePatch checks a change, all of it, before anything is written.
func (c *Config) profilePatch(in *ProfileChange) (auth.ProfilePatch, error) {
	patch := auth.ProfilePatch{At: c.now()}
	for _, f := range []struct {
		from *string
		to   **string
		read func(string) (string, error)
	}{
		{in.FullName, &patch.FullName, readName}, {in.BirthDate, &patch.BirthDate, c.readBirthDate},
		{in.ImageURL, &patch.ImageURL, readImageURL}, {in.Language, &patch.Language, readLanguage},
	} {
		if f.from == nil {
			continue
		}
		value := ""
		if *f.from != "" {
			var err error
			if value, err = f.read(*f.from); err != nil {
				return patch, err
			}
		}
		*f.to = &value
	}
	for _, f := range []struct {
		name string
		from map[string]json.RawMessage
		to   *auth.MetadataPatch
	}{
		{"preferences", in.Preferences, &patch.Preferences}, {"notifications", in.Notifications, &patch.Notifications},
		{"privacy", in.Privacy, &patch.Privacy}, {"flags", in.Flags, &patch.Flags},
	} {
		if err := checkMembers(f.name, f.from); err != nil {
			return patch, err
		}
		*f.to = metadataPatch(f.from)
	}
	if err := checkFlags(in.Flags); err != nil {
		return patch, err
	}
	for _, name := range slices.Sorted(maps.Keys(in.Extensions)) {
		if !slices.Contains(extensionNames(), name) {
			return patch, auth.E(auth.CodeValidation, "extensions can be agent, physician and staff")
		}
		if err := checkMembers("extensions."+name, in.Extensions[name]); err != nil {
			return patch, err
		}
		if patch.Extensions == nil {
			patch.Extensions = map[string]auth.MetadataPatch{}
		}
		patch.Extensions[name] = metadataPatch(in.Extensions[name])
	}
	return patch, nil
}

// patchesNothing reports whether a patch of a profile has nothing to write.
func patchesNothing(p *auth.ProfilePatch) bool {
	return p.FullName == nil && p.BirthDate == nil && p.ImageURL == nil && p.Language == nil && p.LastMethod == nil && p.Active == nil &&
		p.Preferences.IsZero() && p.Notifications.IsZero() && p.Privacy.IsZero() && p.Flags.IsZero() && len(p.Extensions) == 0
}

// Bounds of the objects of a profile.
const (
	maxMembers   = 100
	maxMemberKey = 64       // bytes
	maxObject    = 16 << 10 // bytes of one change
)

func checkMembers(field string, members map[string]json.RawMessage) error {
	if err := checkMetadata(field, members); err != nil {
		return err
	}
	size := 0
	for k, v := range members {
		if k == "" || len(k) > maxMemberKey {
			return auth.E(auth.CodeValidation, fmt.Sprintf("%s: names must have 1 to %d bytes", field, maxMemberKey))
		}
		size += len(k) + len(v)
	}
	if len(members) > maxMembers || size > maxObject {
		return auth.E(auth.CodeValidation, fmt.Sprintf("%s: at most %d members and %d bytes in one change", field, maxMembers, maxObject))
	}
	return nil
}

func checkFlags(flags map[string]json.RawMessage) error {
	for name, v := range flags {
		var b *bool
		if json.Unmarshal(v, &b) != nil {
			return auth.E(auth.CodeValidation, "flags."+printableName(name)+" must be true, false or null")
		}
	}
	return nil
}
