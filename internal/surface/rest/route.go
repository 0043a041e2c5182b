package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/openapi"
	"github.com/cardea-auth/cardea/internal/web"
)

// operation is one line of the route table: what the mux serves and the document says. The
// types of what comes in and goes out are those of the handler, so neither can say something
// that the code does not do.
type operation struct {
	method, path string
	id           string // operationId: the name of the function in generated clients
	tag          string
	summary      string
	text         string      // what else there is to know; "" for nothing
	public       bool        // needs no token
	hooked       bool        // the application's hooks may refuse
	codes        []auth.Code // what may go wrong beside the codes of [operation.common]
	run          binding
}

// call is a request, with who makes it where the operation needs somebody.
type call struct {
	r      *http.Request
	caller auth.Caller
	token  *cardea.Principal // nil for public operations
}

// none is what comes in where nothing does, and goes out with status 204.
type none = openapi.None

// binding is a handler with its types.
type binding = openapi.Binding[*surface, *call]

// reply is one way an operation answers when all goes well.
type reply struct {
	status int
	what   string
}

// answer binds a handler that has one good answer.
func answer[In, Out any](status int, what string, h func(*surface, *call, In) (Out, error)) binding {
	return openapi.One(status, what, h)
}

// either binds a handler that has two good answers: it gives one and nil for the other.
func either[In, A, B any](a, b reply, h func(*surface, *call, In) (*A, *B, error)) binding {
	return openapi.Either(openapi.Reply{Status: a.status, What: a.what}, openapi.Reply{Status: b.status, What: b.what}, h)
}

// common are the codes that an operation may meet by its nature.
func (o *operation) common() []auth.Code {
	codes := []auth.Code{
		auth.CodeRateLimited, auth.CodeInternal, auth.CodeUnavailable, auth.CodeRequestTimeout, auth.CodeOverloaded,
	}
	if !o.public {
		codes = append(codes, auth.CodeNoAuthorization, auth.CodeBadJWT, auth.CodeBadSubject, auth.CodeTokenUserNotFound,
			auth.CodeSessionNotFound, auth.CodeTokenUserBanned, auth.CodeNotFirstParty, auth.CodeNotAdmin)
	}
	codes = append(codes, openapi.InputCodes(o.run.In)...)
	if o.hooked {
		codes = append(codes, auth.CodeHookTimeout, auth.CodeHookTimeoutAfterRetry, auth.CodeHookAnswerTooLarge,
			auth.CodeHookContentType, auth.CodeHookRefused)
	}
	return codes
}

// handler serves the operation: who, then what, then the work, then the answer.
func (s *surface) handler(o *operation) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := &call{r: r}
		if !o.public {
			cred, err := s.c.Callers.Credential(r)
			if err != nil {
				return err
			}
			if cred.Principal == nil { // an API key stands for nobody
				return auth.Wrap(auth.CodeBadJWT, cardea.NewError(cardea.CodeSubject, nil))
			}
			c.token = cred.Principal
			if c.caller, err = web.CallerOf(r, cred.Principal); err != nil {
				return err
			}
		}
		status, body, err := o.run.Serve(s, c, r, openapi.Reading{})
		if err != nil {
			return err
		}
		if _, empty := body.(none); empty {
			w.WriteHeader(status)
			return nil
		}
		return web.WriteJSON(w, status, body)
	}
}

// serve gives the handler of an operation: a refusal where a trusted issuer does what it does.
func (s *surface) serve(o *operation) http.Handler {
	switch {
	case s.c.Relay == nil:
	case o.id == "verify":
		return s.c.Relay.Who
	case o.tag == tagAuth && o.id != "me", o.tag == tagSessions,
		slices.Contains([]string{"addIdentifier", "verifyIdentifier", "makePrimary", "removeIdentifier", "switchTenant"}, o.id):
		return web.Refuse(auth.E(auth.CodeFeatureDisabled, "The issuer of the tokens does this, not this server"), writeError)
	}
	return web.Handle(s.handler(o), writeError)
}

// WriteError answers with a failure as this surface does, for handlers that are served in it.
func WriteError(w http.ResponseWriter, r *http.Request, e *auth.Error) { writeError(w, r, e) }

// mux serves the operations.
func (s *surface) mux(table []operation) *http.ServeMux {
	methods := map[string]map[string]http.Handler{}
	for i := range table {
		o := &table[i]
		if methods[o.path] == nil {
			methods[o.path] = map[string]http.Handler{}
		}
		methods[o.path][o.method] = s.serve(o)
	}
	mux := http.NewServeMux()
	for p, m := range methods {
		h := web.Methods(p, m, web.Refuse(errBadMethod, writeError))
		mux.Handle(p, h)
		if !strings.HasSuffix(p, "/") {
			mux.Handle(p+"/{$}", h)
		}
	}
	return mux
}

func invalid(format string, args ...any) error {
	return auth.E(auth.CodeValidation, fmt.Sprintf(format, args...))
}
