package cardea

import (
	"context"
	"errors"
	"net/http"
	"strconv"
)

// onPlaces is a requirement about ids that the request names.
type onPlaces struct {
	name   string
	where  places
	judge  func(ids []string, p *Principal) *Error
	absent Code // without a request nothing can be known
}

func (o onPlaces) String() string { return o.name }

var errNoRequest = errors.New("there is no request to look at")

func (o onPlaces) Check(_ context.Context, p *Principal) error {
	if p == nil {
		return NewError(CodeHeaderMissing, nil)
	}
	return NewError(o.absent, errNoRequest)
}

func (o onPlaces) CheckRequest(r *http.Request, p *Principal) error {
	if p == nil {
		return NewError(CodeHeaderMissing, nil)
	}
	ids, failure := o.where.read(r)
	if failure == nil {
		failure = o.judge(ids, p)
	}
	if failure == nil {
		return nil
	}
	return failure
}

// Tenant asks that the tenant (clinic) that the request names is the active one of the
// token. A token without an active tenant may name any of its memberships. Roles and
// permissions in a token are those of its active tenant, so they can be required beside
// Tenant; see [TenantMember] for routes about other tenants of the user.
//
// The request must name a tenant in one of the declared places: if it does not,
// TENANT_REQUIRED (403), because a query without a tenant would mean all of them. Places,
// or repeated values in one of them, that disagree are CONFLICTING_IDS (400): the handler
// might use the one that was not judged. Another tenant is TENANT_ACCESS_DENIED (403). Ids
// are compared byte by byte.
//
// A zero Place is a programming error: Tenant panics.
func Tenant(first Place, more ...Place) Requirement {
	return tenant("tenant in ", "Tenant", first, more, func(id string, p *Principal) bool {
		if p.Tenant != "" {
			return p.Tenant == id
		}
		return p.IsMember(id)
	})
}

// TenantMember is [Tenant] for any tenant that the user belongs to by the token, active or
// not. Do not combine it with roles or permissions, which the token says of its active
// tenant: the handler has to know the user's role in the other one ([Principal.Memberships]).
func TenantMember(first Place, more ...Place) Requirement {
	return tenant("membership of the tenant in ", "TenantMember", first, more, func(id string, p *Principal) bool {
		return p.IsMember(id)
	})
}

func tenant(name, of string, first Place, more []Place, allowed func(string, *Principal) bool) Requirement {
	where := mustPlaces(of, first, more)
	return onPlaces{name + where.String(), where, func(ids []string, p *Principal) *Error {
		switch {
		case len(ids) == 0 || (len(ids) == 1 && ids[0] == ""):
			return denied(CodeTenantAbsent, "none")
		case len(ids) > 1:
			return denied(CodeConflictingIDs, quoted(ids[0])+" and "+quoted(ids[1]))
		case !allowed(ids[0], p):
			e := denied(CodeTenant, "tenant "+quoted(p.Tenant))
			e.Required = "tenant " + quoted(ids[0])
			return e
		}
		return nil
	}, CodeTenantAbsent}
}

// Owner refuses a request that names another user than the caller, in any of the declared
// places: OWNER_MISMATCH (403). A request that names none passes: it is about the caller,
// and the handler takes the id from [Principal.Subject]. An empty id is another user's, as
// it might mean everybody. For those who may act for others, combine it: AnyOf("owner or
// admin", Owner(InQuery("user_id")), Role("admin")).
//
// It says nothing about who owns the data that the request is about: a case id of another
// user looks like any other, and the handler has to ask for the owner in its query. A zero
// Place is a programming error: Owner panics.
func Owner(first Place, more ...Place) Requirement {
	where := mustPlaces("Owner", first, more)
	return onPlaces{"own id in " + where.String(), where, func(ids []string, p *Principal) *Error {
		for _, id := range ids {
			if id != p.Subject {
				e := denied(CodeOwner, "user "+quoted(p.Subject))
				e.Required = "user " + quoted(id)
				return e
			}
		}
		return nil
	}, CodeOwner}
}

// quoted makes text of the request fit for a log: bounded, on one line.
func quoted(s string) string {
	const most = 128
	if len(s) > most {
		s = s[:most]
	}
	return strconv.Quote(s)
}
