package usersync

import "slices"

// Rules are what a service can choose. The zero value is the safe choice.
type Rules struct {
	// AcrossIssuers links a user of one issuer to the row of another by a proved address.
	// Set it only if each issuer in the list may speak for every address: one that lets its
	// operator call any address proved opens every row.
	AcrossIssuers bool
	// NoEmailLink and NoPhoneLink leave rows alone that could be found by a proved address;
	// a row is then found by its subject only. The addresses stay unique: the newcomer's
	// row is made without them.
	NoEmailLink, NoPhoneLink bool
}

// Candidates are the rows that may be meant; nil where there is none. All are looked up by
// the values of [Identity.Proved], under the lock or in the transaction in which the plan
// is carried out.
type Candidates struct {
	Subject *User // has issuer and subject
	Email   *User // has the address in its column, whoever proved it
	Phone   *User
}

// Decide says what is to happen when a user comes whom an issuer vouches for. It is a pure
// function. The order (S2.28 to S2.30):
//
//  1. An account that the issuer has banned or deleted: so is its row; one that was never
//     here gets a row all the same, which keeps its tokens from making another.
//  2. A row with the subject. If it is active it is kept up to date: missing values are
//     filled in, existing ones never change, flags only rise. If it was banned, deactivated
//     or deleted, the user is refused. If it was superseded, the subject moves to the
//     active row with the same proved phone, else e-mail, else it is released.
//  3. A row with the same proved e-mail, else phone: it gets the subject. Both sides must
//     have proved the address: a row in which somebody wrote it down is not linked, nor one
//     whose owner has another address by now. A match that is banned or deactivated refuses:
//     a new subject does not undo a ban.
//  4. A new row.
//
// An address that nobody proved is not stored. One that another row has is not filled in.
func Decide(r Rules, id Identity, c Candidates) Plan {
	d := decision{rules: r, id: id.Proved(), rows: c}
	d.rows.Email = d.holder(c.Email, func(u *User) bool { return d.id.Email != "" && NormalizeEmail(u.Email) == d.id.Email })
	d.rows.Phone = d.holder(c.Phone, func(u *User) bool { return d.id.Phone != "" && NormalizePhone(u.Phone) == d.id.Phone })
	d.rows.Subject = d.holder(c.Subject, func(u *User) bool { return u.Issuer == id.Issuer && u.Subject == id.Subject })
	switch id.Standing {
	case StandingDeleted:
		return d.standing(StatusDeleted)
	case StandingBanned:
		return d.standing(StatusBanned)
	}
	if d.rows.Subject != nil {
		return d.known(d.rows.Subject)
	}
	return d.unknown("")
}

// decision is one call of Decide.
type decision struct {
	rules Rules
	id    Identity // proved
	rows  Candidates
}

// holder drops a candidate that does not have the value it was looked up by.
func (d *decision) holder(u *User, has func(*User) bool) *User {
	if u == nil || !has(u) {
		return nil
	}
	return u
}

// standing is for an account that the issuer has banned or deleted. What the service itself
// decided stays, and so does what is newer.
func (d *decision) standing(to Status) Plan {
	u := d.rows.Subject
	if u == nil {
		return Plan{Action: ActionCreate, Set: Changes{
			Issuer: d.id.Issuer, Subject: d.id.Subject, Status: to, SourceAt: d.id.SourceAt,
		}}
	}
	stays := u.Status == to || u.Status == StatusDeleted ||
		(to == StatusBanned && (u.Status == StatusDeactivated || d.id.SourceAt.Before(u.SourceAt)))
	if stays {
		return Plan{Action: ActionNone, UserID: u.ID}
	}
	return Plan{Action: ActionUpdate, UserID: u.ID, Set: Changes{Status: to, SourceAt: d.id.SourceAt}}
}

// known is for a user whose subject a row has.
func (d *decision) known(u *User) Plan {
	switch u.Status {
	case StatusActive:
		return d.update(u, false)
	case StatusBanned:
		// Only the issuer's own word ends its ban, if it is not older: the same version of the
		// account, seen later, may say that the ban is over.
		if d.id.Standing == StandingGood && !d.id.SourceAt.Before(u.SourceAt) {
			return d.update(u, true)
		}
	case StatusSuperseded:
		return d.superseded(u)
	}
	return refuse(u)
}

func refuse(u *User) Plan { return Plan{Action: ActionRefuse, UserID: u.ID, Reason: u.Status} }

// superseded looks for the row that took the place of u: by phone first (S2.30).
func (d *decision) superseded(u *User) Plan {
	if banned := d.banned(); banned != nil {
		return refuse(banned)
	}
	for _, successor := range []*User{d.link(d.rows.Phone, channelPhone), d.link(d.rows.Email, channelEmail)} {
		if successor != nil && successor.ID != u.ID {
			p := d.update(successor, false)
			p.Action, p.Release = ActionMove, u.ID
			p.Set.Issuer, p.Set.Subject = d.id.Issuer, d.id.Subject
			return p
		}
	}
	return d.unknown(u.ID)
}

// unknown is for a subject that no row has, or that its row gives up.
func (d *decision) unknown(release string) Plan {
	if banned := d.banned(); banned != nil {
		return refuse(banned)
	}
	for _, found := range []*User{d.link(d.rows.Email, channelEmail), d.link(d.rows.Phone, channelPhone)} {
		if found != nil && found.ID != release {
			p := d.update(found, false)
			p.Action, p.Release = ActionRepoint, release
			p.Set.Issuer, p.Set.Subject = d.id.Issuer, d.id.Subject
			return p
		}
	}
	p := d.update(&User{}, false)
	p.Action, p.UserID, p.Release = ActionCreate, "", release
	p.Set.Issuer, p.Set.Subject, p.Set.Status = d.id.Issuer, d.id.Subject, StatusActive
	return p
}

// banned gives a row whose owner may not come in, and who has proved one of the addresses.
// It counts whatever the rules say of linking: a new subject must not undo it. An address
// that nobody proved does not count, or one who is banned could lock its owner out; nor does
// one that has another owner by now.
func (d *decision) banned() *User {
	shut := func(u *User) bool { return u.Status == StatusBanned || u.Status == StatusDeactivated }
	if u := d.rows.Email; u != nil && shut(u) && u.EmailVerified && !u.EmailStale && d.mayLink(u) {
		return u
	}
	if u := d.rows.Phone; u != nil && shut(u) && u.PhoneVerified && !u.PhoneStale && d.mayLink(u) {
		return u
	}
	return nil
}

// mayLink says whether the issuer may speak for the owner of the row.
func (d *decision) mayLink(u *User) bool {
	return d.rules.AcrossIssuers || u.Subject == "" || u.Issuer == d.id.Issuer
}

// channel is one of the two ways to find a row.
type channel string

const (
	channelEmail channel = "email"
	channelPhone channel = "phone"
)

// link gives u if it may be linked by that channel.
func (d *decision) link(u *User, by channel) *User {
	if u == nil || u.Status != StatusActive || !d.mayLink(u) {
		return nil
	}
	if by == channelEmail && (d.rules.NoEmailLink || !u.EmailVerified || u.EmailStale) {
		return nil
	}
	if by == channelPhone && (d.rules.NoPhoneLink || !u.PhoneVerified || u.PhoneStale) {
		return nil
	}
	return u
}

// update fills in what u lacks. unban makes it active again.
func (d *decision) update(u *User, unban bool) Plan {
	p := Plan{Action: ActionNone, UserID: u.ID}
	changed := unban
	if unban {
		p.Set.Status = StatusActive
	}
	if d.id.Standing == StandingGood && d.id.SourceAt.After(u.SourceAt) {
		p.Set.SourceAt, changed = d.id.SourceAt, true // older news of a ban has no say then
	}
	email, phone := d.email(u), d.phone(u)
	p.Set.Email, p.Set.EmailVerified, p.Set.EmailAge = email.value, email.proved, email.age
	p.Set.Phone, p.Set.PhoneVerified, p.Set.PhoneAge = phone.value, phone.proved, phone.age
	for _, c := range []change{email, phone} {
		changed = changed || c.proved || c.age != ""
		if c.conflict != nil {
			p.Conflicts = append(p.Conflicts, *c.conflict)
		}
	}
	if u.AuthProvider == "" && d.id.AuthProvider != "" {
		p.Set.AuthProvider, changed = d.id.AuthProvider, true
	}
	if all := cleanProviders(slices.Concat(u.Providers, d.id.Providers)); len(all) > len(u.Providers) {
		p.Set.Providers, changed = all, true
	}
	p.Set.Profile = u.Profile.fill(d.id.Profile)
	if changed || p.Set.Profile != (Profile{}) {
		p.Action = ActionUpdate
	}
	return p
}

// address is one of the two of a row.
type address struct {
	value         string // normalised
	there         bool   // the row has one, well-formed or not
	proved, stale bool
}

// change is what becomes of an address. An empty value leaves it alone, and false the flag.
type change struct {
	value    string
	proved   bool
	age      Age
	conflict *Conflict
}

func (d *decision) email(u *User) change {
	of := func(u *User) address {
		return address{NormalizeEmail(u.Email), u.Email != "", u.EmailVerified, u.EmailStale}
	}
	return d.fill(channelEmail, u, d.id.Email, d.rows.Email, of)
}

func (d *decision) phone(u *User) change {
	of := func(u *User) address {
		return address{NormalizePhone(u.Phone), u.Phone != "", u.PhoneVerified, u.PhoneStale}
	}
	return d.fill(channelPhone, u, d.id.Phone, d.rows.Phone, of)
}

// fill decides about one address of u: the value, if u has none, and whether its flag rises.
// A flag is about the value beside it: the proof of another address lifts nothing, and says
// that the one beside it is its owner's no more.
func (d *decision) fill(by channel, u *User, offered string, holder *User, of func(*User) address) change {
	have := of(u)
	switch {
	case offered == "":
		return change{}
	case have.there && have.value == offered:
		c := change{proved: !have.proved}
		if have.stale {
			c.age = AgeCurrent
		}
		return c
	case have.there:
		c := change{conflict: &Conflict{Field: string(by), Kind: ConflictDiffers}}
		if have.proved && !have.stale {
			c.age = AgeStale
		}
		return c
	case holder == nil || holder.ID == u.ID:
		return change{value: offered, proved: true}
	}
	kind := ConflictTaken
	switch held := of(holder); {
	case !held.proved:
		kind = ConflictUnproved
	case held.stale:
		kind = ConflictStale
	case !d.mayLink(holder):
		kind = ConflictForeign
	}
	return change{conflict: &Conflict{Field: string(by), Kind: kind, With: holder.ID}}
}
