// Package store names what a database must be able to do for Cardea. The interfaces
// that code depends on are declared by their consumers (grant.Store, flow.Store,
// token.KeyStore, job.Store); [Store] is their union, which internal/store/sqlite and
// internal/store/postgres implement and internal/store/storetest proves.
//
// Rules for every method:
//
//   - One method is one atomic intention: it happens whole or not at all, also when 16
//     callers try at once. There is no Get followed by Update.
//   - Times come from the caller; a store never asks the clock.
//   - "No such row" is auth.ErrNotFound, a taken address auth.ErrEmailTaken or
//     auth.ErrPhoneTaken; anything else is the driver's error, wrapped.
//   - Text with a NUL byte or invalid UTF-8 must have been refused before it gets here.
//   - Soft-deleted accounts do not exist for any method.
package store

import (
	"context"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Store is everything.
type Store interface {
	Users
	Sessions
	Keys
	APIKeys
	OneTimes
	Outbox
	Audit
	People
	Tenants
	Cleaner
	Identifiers
	External
	Webhooks
	Privacy
	Moving
	Consents

	// Ping answers whether the database can be reached.
	Ping(ctx context.Context) error
	// Close ends all connections. Calls in flight finish first.
	Close()
}

// Users keeps accounts and their identities.
type Users interface {
	// UserByEmail finds the account with this lower-cased e-mail address and audience that
	// is not managed by SSO, with identities and factors. An address that the account has proved
	// beside its primary one finds it too, and is FoundBy. One statement.
	UserByEmail(ctx context.Context, email, aud string) (auth.User, error)
	// UserByPhone does the same for a phone number.
	UserByPhone(ctx context.Context, phone, aud string) (auth.User, error)
	// UserByID finds an account, with identities and factors. One statement.
	UserByID(ctx context.Context, id auth.ID) (auth.User, error)
	// UserWithSession finds an account and tells whether the session is alive and its own.
	// A zero session id answers Session false. The membership in the session's tenant is
	// looked at as it is at the moment given. One statement.
	UserWithSession(ctx context.Context, id, session auth.ID, at time.Time) (auth.UserSession, error)
	// ListUsers gives one page.
	ListUsers(ctx context.Context, q auth.UserQuery) (auth.UserPage, error)
	// CreateAccount inserts the user, its identities, the session (with its AMR), tokens,
	// flow, messages and the audit entries. ErrEmailTaken, ErrPhoneTaken or ErrIDTaken when one exists: of
	// parallel calls with one address exactly one succeeds. One statement.
	CreateAccount(ctx context.Context, a auth.NewAccount) error
	// UpdateUser applies the patch and gives the account as it is afterwards. ErrNotFound
	// when the account, or the session of RequireSession, does not exist. A new password or
	// address takes every one-time token of the account away. One statement.
	UpdateUser(ctx context.Context, id auth.ID, p auth.UserPatch) (auth.User, error)
	// DeleteUser removes the account and everything that belongs to it. ErrHeld under a legal
	// hold. Its subjects become tombstones.
	DeleteUser(ctx context.Context, id auth.ID, audit auth.AuditEntry) error
	// SoftDeleteUser keeps the row, replaces what identifies the person, empties metadata
	// and password, sets deleted_at, and ends every session and factor. ErrHeld under a legal
	// hold. Its subjects become tombstones.
	SoftDeleteUser(ctx context.Context, id auth.ID, d auth.SoftDelete) error
}

// Sessions keeps sessions.
type Sessions interface {
	// StartSession inserts the session and its AMR, sets last_sign_in_at of the user and of
	// the identity, replaces the hash if asked, and writes the audit entry. ErrNotFound when
	// the account has gone, is soft-deleted, is switched off, or is banned at
	// Session.CreatedAt: whoever did that meanwhile wins. One statement.
	// It gives the session as stored, with its tenant.
	StartSession(ctx context.Context, s auth.SessionStart) (auth.Session, error)
	// RotateRefresh exchanges a refresh token; see auth.RotationOutcome. ErrNotFound when the
	// session does not exist, or when Counter is ahead of the stored one (a token from a
	// future that a restored backup has forgotten). One statement.
	RotateRefresh(ctx context.Context, r auth.Rotation) (auth.RotationResult, error)
	// EndSessions signs out; the answer is the number of sessions ended. One statement.
	EndSessions(ctx context.Context, e auth.EndSessions) (int64, error)
}

// People keeps what an application knows of people beside their accounts.
//
// Sessions and tenants. StartSession, CreateAccount and RedeemOneTime put a new session
// into the tenant of the account's newest session if its membership is open, else into its
// only open membership, else into none, and give TenantID and TenantRole back (StartSession
// returns the session for that, CreateAccount sets them in *NewAccount.Session).
// RotateRefresh, SwitchTenant and UserWithSession give what holds at that moment: a
// membership that has ended, or a tenant that is not active, gives zero values, also where
// the session still names the tenant.
type People interface {
	// PersonByID finds an account with its profile. One statement.
	PersonByID(ctx context.Context, id auth.ID) (auth.Person, error)
	// UpdateProfile applies the patch, making the profile if there is none, and gives the
	// result. ErrNotFound when the account does not exist. One statement.
	UpdateProfile(ctx context.Context, user auth.ID, p auth.ProfilePatch) (auth.Person, error)
	// ListPeople gives one page of at most 1,000, without identities and factors. One
	// statement; an index serves every filter but Text and the audience "authenticated", and
	// of several filters the most telling one.
	ListPeople(ctx context.Context, q auth.PersonQuery) ([]auth.Person, error)
	// SessionsOf lists the living sessions of a user, newest first; NotAfter may have passed.
	// TenantID is what the session names, and TenantRole is not looked up.
	SessionsOf(ctx context.Context, user auth.ID) ([]auth.Session, error)
	// NameSession names a session of a user. ErrNotFound.
	NameSession(ctx context.Context, user, session auth.ID, name string) error
	// EndSession ends one session of a user, whichever session asks. ErrNotFound.
	EndSession(ctx context.Context, user, session auth.ID, audit auth.AuditEntry) error
}

// Tenants keeps tenants, memberships and relations.
type Tenants interface {
	// CreateTenant inserts a tenant and its first membership (nil: none). ErrSlugTaken,
	// ErrIDTaken; ErrNotFound when that member does not exist.
	CreateTenant(ctx context.Context, t auth.Tenant, first *auth.Membership, audit auth.AuditEntry) error
	TenantByID(ctx context.Context, id auth.ID) (auth.Tenant, error)
	TenantBySlug(ctx context.Context, slug string) (auth.Tenant, error)
	// UpdateTenant applies the patch. ErrNotFound, ErrSlugTaken.
	UpdateTenant(ctx context.Context, id auth.ID, p auth.TenantPatch) (auth.Tenant, error)
	// ListTenants gives at most 1,000 tenants in the order of their ids, after the given one.
	ListTenants(ctx context.Context, after auth.ID, limit int) ([]auth.Tenant, error)
	// DeleteTenant removes a tenant with its memberships and relations. ErrNotFound.
	DeleteTenant(ctx context.Context, id auth.ID, audit auth.AuditEntry) error

	// ChangeMembership: see auth.MembershipChange. ErrNotFound when tenant or user do not
	// exist. It gives the membership as it was before; zero for none. CreatedAt stays, and so
	// does InvitedBy when the new one is zero.
	ChangeMembership(ctx context.Context, c auth.MembershipChange) (before auth.Membership, err error)
	// EndMembership removes it. ErrNotFound; ErrConflict by lastOwner, as in MembershipChange.
	EndMembership(ctx context.Context, tenant, user auth.ID, lastOwner string, audit auth.AuditEntry) error
	// MembershipsOf lists all memberships of a user, with their tenants, by name of the tenant.
	MembershipsOf(ctx context.Context, user auth.ID) ([]auth.MemberOf, error)
	// MembersOf lists at most 1,000 members of a tenant, whatever their state, in the order of
	// their ids, after the given one.
	MembersOf(ctx context.Context, tenant, after auth.ID, limit int) ([]auth.Member, error)
	// MembershipIn finds one membership with its tenant. ErrNotFound.
	MembershipIn(ctx context.Context, tenant, user auth.ID) (auth.MemberOf, error)
	// SwitchTenant: see auth.SwitchTenant. It changes no token: the session's counter stays.
	// One statement.
	SwitchTenant(ctx context.Context, s auth.SwitchTenant) (auth.SwitchResult, error)

	// AddRelation inserts a relation. ErrNotFound when somebody or the tenant does not exist;
	// ErrIDTaken; ErrConflict when one of the same kind, people and tenant (for RelationAgent:
	// any of that object) holds at some time that the new one would.
	AddRelation(ctx context.Context, r auth.Relation, audit auth.AuditEntry) error
	// EndRelation ends a relation that has not ended; one that has not begun never will.
	// ErrNotFound.
	EndRelation(ctx context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) error
	// RelationByID finds a relation, ended ones included. ErrNotFound.
	RelationByID(ctx context.Context, id auth.ID) (auth.Relation, error)
	// Relations lists at most 1,000 relations, those with the newest ids first.
	Relations(ctx context.Context, q auth.RelationQuery) ([]auth.Relation, error)
}

// Keys keeps the key ring.
type Keys interface {
	// SigningKeys gives every key, oldest first.
	SigningKeys(ctx context.Context) ([]auth.SigningKey, error)
	// InstallKeys inserts the first keys of a use. If that use has a current key already,
	// nothing is inserted and the answer is ErrConflict: of many nodes that start at once,
	// one wins, and the others read what it wrote.
	InstallKeys(ctx context.Context, use auth.KeyUse, keys []auth.SigningKey) error
	// RotateKeys makes the standby key of next.Use current, the current one previous, and
	// inserts next as the new standby, in one step. ErrConflict when expectCurrent is not the
	// current key: two operators who rotate at once rotate once.
	RotateKeys(ctx context.Context, expectCurrent string, next auth.SigningKey, at time.Time) error
	// RevokeKey marks a key that is neither current nor standby. ErrConflict when it is one
	// of these, ErrNotFound when it does not exist.
	RevokeKey(ctx context.Context, kid string, at time.Time) error
	// ReplaceSealed stores newly sealed private parts, all or none; for the rotation of the
	// key-encryption key. ErrNotFound when one of the kids does not exist.
	ReplaceSealed(ctx context.Context, sealed map[string][]byte) error
}

// APIKeys keeps opaque API keys.
type APIKeys interface {
	CreateAPIKey(ctx context.Context, k auth.APIKey) error
	// APIKeyByHash finds a key, revoked ones included: the caller looks at RevokedAt.
	APIKeyByHash(ctx context.Context, hash []byte) (auth.APIKey, error)
	// ListAPIKeys gives every key, newest first.
	ListAPIKeys(ctx context.Context) ([]auth.APIKey, error)
	// RevokeAPIKey is idempotent: the first time stays. ErrNotFound for an unknown id.
	RevokeAPIKey(ctx context.Context, id auth.ID, at time.Time) error
}

// OneTimes keeps one-time tokens and PKCE flows.
type OneTimes interface {
	// IssueOneTime replaces the tokens of their slots, sets the matching *_sent_at columns,
	// the waiting addresses and invited_at, inserts the flow and the messages, and writes
	// the audit entries: all or nothing. ErrNotFound when the account (or RequireSession) does
	// not exist, ErrTooSoon by NotSince, ErrEmailTaken or ErrPhoneTaken when a waiting address
	// belongs to another account. A new waiting e-mail address takes the tokens of the one
	// before it away; tokens of both addresses, live at once, need each other. One statement.
	IssueOneTime(ctx context.Context, i auth.IssueOneTime) error
	// RedeemOneTime consumes a token and applies its effect in one step; of parallel calls
	// with one token exactly one succeeds. The effects (auth.Redeem.Plan has them):
	//
	//   - signup, invite, magiclink, recovery: the e-mail address is proved (sms: the phone
	//     number). Where nothing of the account was proved before, and the purpose is not the
	//     account's own beginning (signup; sms of an account that has never been used; invite
	//     of an account that the invitation made): password, user metadata, factors, sessions,
	//     the other address and every identity but the proved address's are dropped first, as
	//     whoever put them there had not proved anything. An account with one proved address
	//     has an owner: the proof of the other drops nothing, least of all a second factor.
	//   - email_current, email_new: when the token is one of a pair and the other half is
	//     still there, RedeemHalf and email_change_confirm_status 1; else the waiting address
	//     becomes the address, in users, identity and metadata. ErrEmailTaken if somebody has
	//     it by now. When the other half is gone without having been redeemed: refused.
	//   - phone_change: the same for the number, without halves. ErrPhoneTaken.
	//
	// Done deletes every other one-time token of the account and starts Session, or gives the
	// PKCE flow its user and code. A wrong code (right Address, no hash matches) adds one
	// attempt to the live tokens of that address and these purposes; at MaxAttempts they are
	// deleted. Two round trips.
	RedeemOneTime(ctx context.Context, r auth.Redeem) (auth.RedeemResult, error)
	// CheckNonce consumes a reauthentication code of the account: true once, false for
	// anything else, counting wrong tries like RedeemOneTime.
	CheckNonce(ctx context.Context, user auth.ID, codeHashes []string, at time.Time, maxAttempts int) (bool, error)
	// TakeFlowState deletes the flow whose authorization code has this hash and returns it
	// with its account:
	// once. ErrNotFound otherwise. The caller looks at CodeIssuedAt.
	TakeFlowState(ctx context.Context, codeHash string) (auth.FlowState, auth.User, error)
	// DeleteExpiredOneTimes removes tokens and identifiers without proof that expired before the
	// given moment, and flows made (or given their code) before it that no live token belongs
	// to; at most limit of each.
	DeleteExpiredOneTimes(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Outbox keeps messages between the change that caused them and their delivery. Messages
// of UserPatch and NewAccount are inserted in the step of that change.
type Outbox interface {
	// Enqueue inserts messages that no other change causes.
	Enqueue(ctx context.Context, messages []auth.Message) error
	// ClaimMessages gives at most limit messages whose time has come and hides them from other
	// claimers until the lease ends; it counts an attempt on each. A claimer that dies loses
	// nothing: the message comes back, with its id, when the lease has ended. Oldest first.
	ClaimMessages(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]auth.Message, error)
	// MessageSent deletes a message. One that is gone already is no error.
	MessageSent(ctx context.Context, id auth.ID) error
	// MessageFailed records a failed attempt. A message that is gone, dead or claimed anew
	// (see Attempts) stays as it is, without an error.
	MessageFailed(ctx context.Context, f auth.MessageFailure) error
	// DeadMessages lists messages that were given up, newest first.
	DeadMessages(ctx context.Context, limit int) ([]auth.Message, error)
	// RetryMessage puts a dead message back into the queue, with its attempts counted from 0
	// again. ErrNotFound when there is no such dead message.
	RetryMessage(ctx context.Context, id auth.ID, at time.Time) error
}

// Audit keeps who did what, and why.
type Audit interface {
	// WriteAudit inserts entries for what no other method changes: keys, and what is asked
	// of a server as a whole. All or none.
	WriteAudit(ctx context.Context, entries ...auth.AuditEntry) error
}

// Cleaner removes what has ended, so that tables stay flat under a constant load.
type Cleaner interface {
	// DeleteEndedSessions removes at most limit sessions that ended: not_after before
	// endedBefore, or (when not zero) created before createdBefore, or (when not zero) last
	// refreshed or created before idleBefore. The answer is the number removed.
	DeleteEndedSessions(ctx context.Context, endedBefore, createdBefore, idleBefore time.Time, limit int) (int64, error)
	// DeleteDeadMessages removes at most limit messages that were given up before the moment.
	DeleteDeadMessages(ctx context.Context, before time.Time, limit int) (int64, error)
	// DeleteOldDevices forgets at most limit devices that were last seen before the moment.
	DeleteOldDevices(ctx context.Context, before time.Time, limit int) (int64, error)
	// DeleteOldWebhooks forgets at most limit notices that are not remembered beyond the moment.
	DeleteOldWebhooks(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Moving takes accounts over from other systems, and gives them away.
type Moving interface {
	// StartImport begins an import, or goes on with one: with resume, and the source and the
	// digest of the last time, the answer is how far that came; else everything counts from 0.
	StartImport(ctx context.Context, p auth.MoveProgress, resume bool) (auth.MoveProgress, error)
	// MoveAccounts stores a batch with the progress that it makes, and says of each account
	// what became of it, in their order. What is in the way of an account is left as it is, and
	// the account is left out. Batches of all sources wait for each other: the same file read
	// twice at once gives each account once. auth.ErrUnstorable when the database refuses one
	// of the accounts; nothing is stored then.
	MoveAccounts(ctx context.Context, b auth.MoveBatch) ([]auth.MoveOutcome, error)
	// MoveTenant gives the tenant that stands for one of another system, and whether it was
	// made now. ErrSlugTaken when a tenant that does not stand for it has the slug;
	// ErrNotFound when the one that stood for it has been deleted.
	MoveTenant(ctx context.Context, m auth.TenantMove) (t auth.Tenant, made bool, err error)
	// CopyAccounts gives at most 1,000 accounts in the order of their ids, after the given one,
	// with identities, profiles and memberships, and without factors.
	CopyAccounts(ctx context.Context, after auth.ID, limit int) ([]auth.AccountCopy, error)
}
