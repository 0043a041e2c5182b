package cardea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Requirement is what a route asks of its caller. Those of this package are
// [Authenticated], [NotAnonymous], [Role], [AnyPermission], [AllPermissions], [Scope],
// [AAL], [Verifier.Fresh], [Tenant], [TenantMember], [Owner], [Active], [UserRule],
// [Verifier.Consent] and [AIAccess]; [AllOf], [AnyOf] and [WithCode] make new ones of them, and a service may add
// its own.
type Requirement interface {
	// Check gives nil when the caller may pass. An *[Error] is answered as it is, any
	// other error as 403 with the code FORBIDDEN; its text is not shown.
	Check(ctx context.Context, p *Principal) error
	// String names the requirement for logs and audit, such as "role admin".
	String() string
}

// RequestRequirement is a Requirement that needs to see the request. Where there is one,
// guards call CheckRequest in place of Check, which is left for [Check] and should refuse.
type RequestRequirement interface {
	Requirement
	// CheckRequest judges as Check does. r is the guard's own copy, which the handler
	// gets: its Body may be read if an equal one is put in its place. Nothing of it may
	// be kept.
	CheckRequest(r *http.Request, p *Principal) error
}

// requirement is a Requirement out of a name and a function.
type requirement struct {
	name  string
	check func(*Principal) *Error
}

func (r requirement) String() string { return r.name }

func (r requirement) Check(_ context.Context, p *Principal) error {
	if p == nil {
		return NewError(CodeHeaderMissing, nil)
	}
	if failure := r.check(p); failure != nil {
		failure.Required = r.name
		return failure
	}
	return nil
}

// Authenticated asks for a valid token and nothing more. It lets anonymous sign-ins
// (users without any credential) pass; add [NotAnonymous] where an account is needed.
func Authenticated() Requirement {
	return requirement{"authenticated", func(*Principal) *Error { return nil }}
}

// NotAnonymous refuses anonymous sign-ins.
func NotAnonymous() Requirement {
	return requirement{"not anonymous", func(p *Principal) *Error {
		if p.Anonymous {
			return denied(CodeAnonymousRefused, "anonymous")
		}
		return nil
	}}
}

// Role asks for one of the given roles, as the claim "role" or in app_metadata.roles.
// Both are set by the issuer; the user can't write them. Names of database roles
// (authenticated, service_role, ...) count only in the claim "role", so that handing out
// application roles never hands out those. An empty name is a programming error: Role
// panics.
func Role(first string, more ...string) Requirement {
	roles := names("Role", first, more)
	return requirement{"role " + strings.Join(roles, " or "), func(p *Principal) *Error {
		for _, r := range roles {
			if p.HasRole(r) {
				return nil
			}
		}
		return denied(CodeRole, strings.TrimSpace(strings.Join(append([]string{p.Role}, p.Roles...), " ")))
	}}
}

// names makes one list and panics when a name is empty: such a requirement would be met
// by nobody, or by a bug by everybody.
func names(of, first string, more []string) []string {
	list := append([]string{first}, more...)
	for _, name := range list {
		if name == "" {
			panic("cardea: " + of + " with an empty name")
		}
	}
	return list
}

// AAL asks for an assurance level: "aal1", "aal2" (a second factor) or "aal3". A higher
// level passes too, a token without level does not. Another word is a programming
// error: AAL panics.
func AAL(level string) Requirement {
	want := assurance(level)
	if want == 0 {
		panic(fmt.Sprintf("cardea: AAL with the unknown level %q", level))
	}
	return requirement{level, func(p *Principal) *Error {
		if assurance(p.AAL) < want {
			return denied(CodeAAL, p.AAL)
		}
		return nil
	}}
}

// assurance orders the levels; 0 is unknown.
func assurance(level string) int {
	switch level {
	case "aal1":
		return 1
	case "aal2":
		return 2
	case "aal3":
		return 3
	}
	return 0
}

func denied(code Code, actual string) *Error {
	e := NewError(code, nil)
	e.Actual = actual
	return e
}

// Check tests a Principal against requirements where there is no request: all must hold.
// The error is an *[Error]. A nil Principal is an anonymous caller: status 401. A
// requirement of this package that is about the request ([Tenant], [TenantMember],
// [Owner]) refuses.
func Check(ctx context.Context, p *Principal, first Requirement, more ...Requirement) error {
	if failure := checkAll(ctx, nil, p, append([]Requirement{first}, more...)); failure != nil {
		return failure
	}
	return nil
}

// checkAll tests them in order, and stops at the first that fails. r may be nil.
func checkAll(ctx context.Context, r *http.Request, p *Principal, requirements []Requirement) *Error {
	for _, q := range requirements {
		if failure := checkOne(ctx, r, p, q); failure != nil {
			return failure
		}
	}
	return nil
}

func checkOne(ctx context.Context, r *http.Request, p *Principal, q Requirement) *Error {
	if p == nil {
		return NewError(CodeHeaderMissing, nil)
	}
	var err error
	if byRequest, ok := q.(RequestRequirement); ok && r != nil {
		err = byRequest.CheckRequest(r, p)
	} else {
		if r != nil {
			ctx = r.Context() // an earlier requirement may have added to it
		}
		err = q.Check(ctx, p)
	}
	if err == nil {
		return nil
	}
	failure := complete(err, CodeForbidden)
	if failure.Required == "" {
		failure.Required = q.String()
	}
	return failure
}

// complete gives a copy of the *Error in err, because a foreign one may be shared by
// requests, with code and message filled in. What is no *Error gets the given code.
func complete(err error, code Code) *Error {
	var found *Error
	if !errors.As(err, &found) || found == nil {
		return NewError(code, err)
	}
	e := *found
	if e.Code == "" {
		e.Code = defaultCode(e.HTTPStatus())
		e.Status = found.HTTPStatus()
	}
	if e.Message == "" {
		e.Message = e.Code.info().message
	}
	if e.Message == "" {
		e.Message = statusMessage(e.HTTPStatus())
	}
	return &e
}

// statusMessage is the text for a code that is not from this package.
func statusMessage(status int) string {
	if text := http.StatusText(status); text != "" && status != http.StatusForbidden {
		return text
	}
	return CodeForbidden.info().message
}

// mustRequirements makes one list and panics when one is nil, so that a guard that guards
// nothing does not start.
func mustRequirements(of string, first Requirement, more []Requirement) []Requirement {
	list := append([]Requirement{first}, more...)
	for _, q := range list {
		if q == nil {
			panic("cardea: " + of + " with a nil requirement")
		}
	}
	return list
}
