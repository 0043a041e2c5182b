package cardea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// AnyPermission asks for at least one of the permissions; see [Principal.HasPermission].
// There is no function with a shorter name, so that nobody has to guess which of the two
// it is. An empty name is a programming error: it panics.
func AnyPermission(first string, more ...string) Requirement {
	list := names("AnyPermission", first, more)
	return requirement{"permission " + strings.Join(list, " or "), func(p *Principal) *Error {
		for _, name := range list {
			if p.HasPermission(name) {
				return nil
			}
		}
		return denied(CodePermission, strings.Join(p.Permissions, " "))
	}}
}

// AllPermissions asks for every one of the permissions. An empty name is a programming
// error: it panics.
func AllPermissions(first string, more ...string) Requirement {
	list := names("AllPermissions", first, more)
	return requirement{"permission " + strings.Join(list, " and "), func(p *Principal) *Error {
		for _, name := range list {
			if !p.HasPermission(name) {
				return denied(CodePermission, strings.Join(p.Permissions, " "))
			}
		}
		return nil
	}}
}

// Scope asks that the client was granted all of the scopes (RFC 6749 §3.3). It says
// nothing about what the user may do. A token without scopes, such as a first-party one
// of Supabase, does not pass. The answer names the scopes that are needed (RFC 6750 §3.1).
// A name that can't be a scope is a programming error: it panics.
func Scope(first string, more ...string) Requirement {
	list := names("Scope", first, more)
	for _, name := range list {
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			panic(fmt.Sprintf("cardea: Scope with the impossible scope %q", name))
		}
	}
	challenge := `error="insufficient_scope", scope="` + strings.Join(list, " ") + `"`
	return requirement{"scope " + strings.Join(list, " and "), func(p *Principal) *Error {
		for _, name := range list {
			if !p.HasScope(name) {
				e := denied(CodeScope, strings.Join(p.Scopes, " "))
				e.challenge = challenge
				return e
			}
		}
		return nil
	}}
}

// Fresh asks that the user proved who they are at most maxAge ago: [Principal.AuthTime],
// by the Verifier's clock. Renewing a token does not make the proof fresher. A token that
// does not say when does not pass. The answer tells the client to sign the user in anew
// (RFC 9470 §3). A maxAge that is not positive is a programming error: it panics.
func (v *Verifier) Fresh(maxAge time.Duration) Requirement {
	if maxAge <= 0 {
		panic("cardea: Fresh without a maximum age")
	}
	seconds := strconv.FormatInt(int64(maxAge/time.Second), 10)
	name := "authentication at most " + maxAge.String() + " ago"
	return requirement{name, func(p *Principal) *Error {
		actual := "unknown"
		if !p.AuthTime.IsZero() {
			age := v.now().Sub(p.AuthTime)
			if age <= maxAge {
				return nil
			}
			actual = age.Truncate(time.Second).String() + " ago"
		}
		e := denied(CodeFresh, actual)
		e.challenge = `error="insufficient_user_authentication", max_age="` + seconds + `"`
		return e
	}}
}

// activeUser is the requirement of Active.
type activeUser[U any] struct {
	load func(ctx context.Context, p *Principal) (U, bool, error)
}

type userKey[U any] struct{}

// Active asks the service's own records about the user. load finds the user who belongs
// to the token, in a database or a cache, and says whether they are active; a user who is
// not known is not. The user is there for [UserFrom], later requirements included.
//
// A user who is not active is refused with USER_INACTIVE. An error of load is answered 503
// with AUTH_DB_UNAVAILABLE and Retry-After, because nothing is known against the caller;
// an *[Error] is answered as it is. A nil load is a programming error: Active panics.
func Active[U any](load func(ctx context.Context, p *Principal) (user U, active bool, err error)) Requirement {
	if load == nil {
		panic("cardea: Active with a nil function")
	}
	return activeUser[U]{load}
}

func (a activeUser[U]) String() string { return "active user" }

func (a activeUser[U]) Check(ctx context.Context, p *Principal) error {
	_, err := a.find(ctx, p)
	return err
}

func (a activeUser[U]) CheckRequest(r *http.Request, p *Principal) error {
	user, err := a.find(r.Context(), p)
	if err == nil {
		*r = *r.WithContext(WithUser(r.Context(), user))
	}
	return err
}

func (a activeUser[U]) find(ctx context.Context, p *Principal) (user U, err error) {
	if p == nil {
		return user, NewError(CodeHeaderMissing, nil)
	}
	user, active, err := a.load(ctx, p)
	switch {
	case err != nil:
		return user, complete(err, CodeUserUnavailable)
	case !active:
		return user, denied(CodeUserInactive, "inactive user")
	}
	return user, nil
}

// UserFrom gives what the function of [Active] loaded; U is the type that it gives.
func UserFrom[U any](ctx context.Context) (U, bool) {
	user, ok := ctx.Value(userKey[U]{}).(U)
	return user, ok
}

// WithUser gives a context that carries what [UserFrom] gives and [UserRule] asks about, as
// [Active] does: for tests, and for requirements that load users by themselves.
func WithUser[U any](ctx context.Context, user U) context.Context {
	return context.WithValue(ctx, userKey[U]{}, user)
}

// UserRule asks something of the user that an earlier [Active] loaded, such as a role that
// only the service's database knows. Without one it refuses. The name is for logs and
// audit; an empty name or a nil function is a programming error: it panics.
func UserRule[U any](name string, ok func(user U) bool) Requirement {
	if name == "" || ok == nil {
		panic("cardea: UserRule without a name or a function")
	}
	return userRule[U]{name, ok}
}

type userRule[U any] struct {
	name string
	ok   func(U) bool
}

func (u userRule[U]) String() string { return u.name }

func (u userRule[U]) Check(ctx context.Context, _ *Principal) error {
	user, loaded := UserFrom[U](ctx)
	switch {
	case !loaded:
		return NewError(CodeForbidden, errors.New("no user was loaded: Active has to come first"))
	case !u.ok(user):
		return NewError(CodeForbidden, nil)
	}
	return nil
}

// group is the requirement of AllOf and AnyOf.
type group struct {
	name  string
	parts []Requirement
	any   bool
}

// AllOf is a composition with a name: all must hold. The denial is that of the first that
// does not. A nil requirement or an empty name is a programming error: it panics.
func AllOf(name string, first Requirement, more ...Requirement) Requirement {
	names("AllOf", name, nil)
	return group{name: name, parts: mustRequirements("AllOf", first, more)}
}

// AnyOf is a composition with a name: one must hold. When none does, the denial is that of
// the first; but when one of them could not be decided (status 500 and above), it is that
// one's, because nothing is known against the caller. A nil requirement or an empty name
// is a programming error: it panics.
func AnyOf(name string, first, second Requirement, more ...Requirement) Requirement {
	names("AnyOf", name, nil)
	return group{name, mustRequirements("AnyOf", first, append([]Requirement{second}, more...)), true}
}

func (g group) String() string { return g.name }

func (g group) Check(ctx context.Context, p *Principal) error { return g.check(ctx, nil, p) }

func (g group) CheckRequest(r *http.Request, p *Principal) error { return g.check(r.Context(), r, p) }

func (g group) check(ctx context.Context, r *http.Request, p *Principal) error {
	var first *Error
	for _, part := range g.parts {
		failure := checkOne(ctx, r, p, part)
		switch {
		case failure == nil && g.any:
			return nil
		case failure == nil:
			continue
		}
		if first == nil || (first.HTTPStatus() < 500 && failure.HTTPStatus() >= 500) {
			first = failure
		}
		if !g.any {
			break
		}
	}
	if first == nil {
		return nil
	}
	first.Required = g.name + ": " + first.Required
	return first
}

// recoded is the requirement of WithCode.
type recoded struct {
	Requirement
	code    Code
	message string
}

// WithCode answers a refusal (status 403) of the requirement with a code and a message of
// the service, such as "ADMIN_REQUIRED". Other failures stay as they are. The message is
// shown to the caller; "" means the standard one. An empty code, a code of this package
// that is not 403, or a nil requirement is a programming error: it panics.
func WithCode(code Code, message string, q Requirement) Requirement {
	if code == "" || q == nil {
		panic("cardea: WithCode without a code or a requirement")
	}
	if status := code.info().status; status != 0 && status != http.StatusForbidden {
		panic("cardea: WithCode with the code " + string(code) + ", which is not one of 403")
	}
	if message == "" {
		message = code.message()
	}
	return recoded{q, code, message}
}

func (c recoded) Check(ctx context.Context, p *Principal) error { return c.check(ctx, nil, p) }

func (c recoded) CheckRequest(r *http.Request, p *Principal) error {
	return c.check(r.Context(), r, p)
}

func (c recoded) check(ctx context.Context, r *http.Request, p *Principal) error {
	failure := checkOne(ctx, r, p, c.Requirement)
	if failure == nil {
		return nil
	}
	if failure.HTTPStatus() == http.StatusForbidden {
		failure.Code, failure.Message, failure.Status, failure.challenge = c.code, c.message, http.StatusForbidden, ""
	}
	return failure
}

// AIAccess is what routes of AI assistants ask for: the permission ai_access or admin, and
// all further requirements that the service names, such as the role of a professional or
// a consent that it has on record. A nil requirement is a programming error: it panics.
func AIAccess(more ...Requirement) Requirement {
	return AllOf("AI access", AnyPermission("ai_access", "admin"), more...)
}
