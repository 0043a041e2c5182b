package cardea

import (
	"context"
	"fmt"
	"strings"
)

// Requirement is what a route asks of its caller. The ones of this package are
// [Authenticated], [NotAnonymous], [Role] and [AAL]; a service may add its own.
type Requirement interface {
	// Check gives nil when the caller may pass. An *[Error] is answered as it is, any
	// other error as 403 with the code FORBIDDEN; its text is not shown.
	Check(ctx context.Context, p *Principal) error
	// String names the requirement for logs and audit, such as "role admin".
	String() string
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
	roles := append([]string{first}, more...)
	for _, r := range roles {
		if r == "" {
			panic("cardea: Role with an empty name")
		}
	}
	return requirement{"role " + strings.Join(roles, " or "), func(p *Principal) *Error {
		for _, r := range roles {
			if p.HasRole(r) {
				return nil
			}
		}
		return denied(CodeRole, strings.Join(append([]string{p.Role}, p.Roles...), " "))
	}}
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

// Check tests a Principal against requirements outside of net/http: all must hold. The
// error is an *[Error]. A nil Principal is an anonymous caller: status 401.
func Check(ctx context.Context, p *Principal, first Requirement, more ...Requirement) error {
	if failure := checkAll(ctx, p, append([]Requirement{first}, more...)); failure != nil {
		return failure
	}
	return nil
}

func checkAll(ctx context.Context, p *Principal, requirements []Requirement) *Error {
	if p == nil {
		return NewError(CodeHeaderMissing, nil)
	}
	for _, r := range requirements {
		err := r.Check(ctx, p)
		if err == nil {
			continue
		}
		failure := asError(err, CodeForbidden, func(Code) bool { return true })
		named := *failure // a copy: a foreign error may be shared by requests
		if named.Required == "" {
			named.Required = r.String()
		}
		if named.Message == "" {
			named.Message = named.Code.info().message
		}
		return &named
	}
	return nil
}
