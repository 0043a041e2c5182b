package presets

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// publicURL is the address of servers under test.
const publicURL = "http://127.0.0.1:9999"

// inProcess lets an application fetch keys of the server under test.
type inProcess struct{ server http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.server.ServeHTTP(w, r)
	return w.Result(), nil
}

// guards makes the verifier of an application. It knows the server's address and what is
// public; it holds no secret.
func guards(t *testing.T, b *scripttest.Bench, encode cardea.ErrorEncoder, more ...func(*cardea.Config)) *cardea.Verifier {
	t.Helper()
	c := cardea.Config{
		Issuers:      []cardea.Issuer{{Kind: cardea.KindSupabase, URL: publicURL}},
		HTTPClient:   &http.Client{Transport: inProcess{b.Server.Handler()}},
		ErrorEncoder: encode, Now: b.Clock.Now,
	}
	for _, set := range more {
		set(&c)
	}
	v, err := cardea.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func answer(w http.ResponseWriter, status int, view map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(view) // it is a recorder
}

func caller(r *http.Request) *cardea.Principal {
	p, _ := cardea.PrincipalFrom(r.Context()) // there is one behind every guard but Optional
	return p
}

// algorithm is that of the request's token, which a guard has verified.
func algorithm(r *http.Request) string {
	head, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	var h struct{ Alg string }
	raw, _ := base64.RawURLEncoding.DecodeString(head)
	_ = json.Unmarshal(raw, &h)
	return h.Alg
}

// cases is the backend of S0: each case has one doctor, who is the subject of the token and
// never a parameter.
func cases(t *testing.T, b *scripttest.Bench) *http.ServeMux {
	t.Helper()
	v := guards(t, b, cardea.EncodeFixedDetail("Invalid authentication credentials", "Insufficient permissions to access this resource"))
	owned := map[string]string{} // case to doctor
	mine := func(r *http.Request) []string {
		list := []string{}
		for id, doctor := range owned {
			if doctor == caller(r).Subject {
				list = append(list, id)
			}
		}
		return list
	}
	mux := http.NewServeMux()
	mux.Handle("GET /cases/all_cases", v.Require(cardea.Owner(cardea.InQuery("user_id")))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{"cases": mine(r)})
	})))
	mux.Handle("POST /cases/create_case", v.Require(cardea.Owner(cardea.InBody("user_id")))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		owned[r.FormValue("patient_name")] = caller(r).Subject
		answer(w, http.StatusCreated, map[string]any{"message": "Case created", "case": r.FormValue("patient_name"), "uploaded_files": []string{}})
	})))
	mux.Handle("GET /cases/cases/{id}", v.Require(cardea.Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if owned[r.PathValue("id")] != caller(r).Subject {
			answer(w, http.StatusNotFound, map[string]any{"detail": "Case not found"})
			return
		}
		answer(w, http.StatusOK, map[string]any{"case": r.PathValue("id")})
	})))
	return mux
}

// sharedSecret is a secret in the manner of SUPABASE_JWT_SECRET, for the server that a script
// starts with it.
const sharedSecret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF"

// analyses is the backend of S3. It takes tokens that are signed with the shared secret, too.
func analyses(t *testing.T, b *scripttest.Bench) *http.ServeMux {
	t.Helper()
	v := guards(t, b, cardea.EncodeDetail, func(c *cardea.Config) { c.Issuers[0].HMACSecret = []byte(sharedSecret) })
	mux := http.NewServeMux()
	mux.Handle("GET /api/sessions", v.Require(cardea.NotAnonymous())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := caller(r)
		answer(w, http.StatusOK, map[string]any{"user_id": p.Subject, "email": p.Email, "issuer": p.Issuer, "audience": p.Audience, "algorithm": algorithm(r)})
	})))
	return mux
}
