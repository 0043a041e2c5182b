package guardtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// RoundTrip sends a request to a server under test and gives its answer.
type RoundTrip func(t testing.TB, r *http.Request) *http.Response

// StartHTTP makes an HTTP server whose routes ([HTTPRoutes]) are guarded by v. Its
// handlers answer status 200 and what they see and read ([Seen.Read]) as JSON.
type StartHTTP func(t testing.TB, v *cardea.Verifier) RoundTrip

// Serve is the RoundTrip of a handler of net/http.
func Serve(h http.Handler) RoundTrip {
	return func(_ testing.TB, r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
}

// NetHTTP is the server that all others are compared with.
func NetHTTP(_ testing.TB, v *cardea.Verifier) RoundTrip {
	mux := http.NewServeMux()
	for _, route := range HTTPRoutes() {
		guard := Guard(route, v, (*cardea.Verifier).Require, (*cardea.Verifier).Optional)
		mux.Handle(route.Method+" "+route.Pattern("{", "}"), guard(Handler(func(r *http.Request) string { return r.PathValue("clinic") })))
	}
	return Serve(mux)
}

// Handler is the handler of a server of net/http. clinic reads the path parameter.
func Handler(clinic func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := cardea.PrincipalFrom(r.Context())
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		seen := See(r.Context(), p, ok).Read(clinic(r), r.URL.Query().Get("clinic_id"), body)
		_, _ = io.WriteString(w, seen.JSON()) // a recorder takes everything
	})
}

// RunHTTP runs the whole table against an HTTP server, then once more with several error
// encoders to see that refusals equal those of net/http in status, headers and body, and
// at last requests that two readers may read in two ways.
func RunHTTP(t *testing.T, start StartHTTP) {
	t.Helper()
	t.Run("table", func(t *testing.T) {
		t.Parallel()
		i := newIssuer(t)
		for _, c := range httpCases() {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				var h hooks
				got := readAnswer(t, start(t, i.verifier(t, c.down, h.install))(t, c.request(t, c.header(i, t))))
				c.judge(t, got, h.list())
			})
		}
	})
	for _, e := range encoders() {
		t.Run("encoder "+e.name, func(t *testing.T) {
			t.Parallel()
			compareHTTP(t, e.encode, start)
		})
	}
	t.Run("odd requests", func(t *testing.T) {
		t.Parallel()
		agree(t, start)
	})
}

// request is the request of the case.
func (c *testCase) request(t testing.TB, h http.Header) *http.Request {
	t.Helper()
	route := c.find(t)
	target := url.URL{Path: strings.Replace(route.Path, "{clinic}", c.sent.clinic, 1), RawQuery: c.sent.query}
	r := httptest.NewRequestWithContext(t.Context(), route.Method, target.String(), strings.NewReader(c.sent.body))
	r.Header = h.Clone()
	if c.sent.contentType != "" {
		r.Header.Set("Content-Type", c.sent.contentType)
	}
	return r
}

// oddRequest is a request for a target that package url might not write.
func oddRequest(t testing.TB, target string, h http.Header) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://guardtest.example"+target, http.NoBody)
	r.Header = h.Clone()
	return r
}

type encoder struct {
	name   string
	encode cardea.ErrorEncoder
}

// encoders are the ways in which a service may answer.
func encoders() []encoder {
	return []encoder{
		{"of the package", nil},
		{"envelope", cardea.EncodeEnvelope},
		{"problem", cardea.EncodeProblem},
		{"of the service", func(w http.ResponseWriter, r *http.Request, e *cardea.Error) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Add("X-Reason", string(e.Code))
			w.Header().Add("X-Reason", r.Method+" "+r.URL.Path)
			w.WriteHeader(e.HTTPStatus())
			_, _ = io.WriteString(w, `{"title":`)
			_, _ = io.WriteString(w, strconv.Quote(e.Message)+`}`)
		}},
		{"without a status", func(w http.ResponseWriter, _ *http.Request, e *cardea.Error) {
			w.Header().Set("X-Reason", string(e.Code))
		}},
	}
}

// compareHTTP wants the same answers from the server under test and from net/http.
func compareHTTP(t *testing.T, encode cardea.ErrorEncoder, start StartHTTP) {
	t.Helper()
	issuer := newIssuer(t)
	compared := 0
	for _, c := range httpCases() {
		if c.anonymous || c.code == "" {
			continue // the handler answers, not the guard
		}
		compared++
		v := issuer.verifier(t, c.down, func(config *cardea.Config) { config.ErrorEncoder = encode })
		header := c.header(issuer, t)
		want := fingerprint(t, NetHTTP(t, v)(t, c.request(t, header)))
		got := fingerprint(t, start(t, v)(t, c.request(t, header)))
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s, as net/http", c.name, got, want)
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// fingerprint is status, headers and body. The date, and what servers add about the
// connection and the length, are theirs.
func fingerprint(t testing.TB, r *http.Response) string {
	t.Helper()
	header := r.Header.Clone()
	for _, name := range []string{"Date", "Server", "Content-Length", "Connection"} {
		header.Del(name)
	}
	var b bytes.Buffer
	if err := header.Write(&b); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(r.StatusCode) + "\n" + b.String() + "\n" + readBody(t, r)
}

func readBody(t testing.TB, r *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// readAnswer reads what EncodeDetail or a handler wrote.
func readAnswer(t testing.TB, r *http.Response) Answer {
	t.Helper()
	body := readBody(t, r)
	a := Answer{Status: r.StatusCode, Challenge: r.Header.Get("WWW-Authenticate")}
	if r.StatusCode == http.StatusOK {
		seen, err := ParseSeen(body)
		if err != nil {
			t.Fatal(err)
		}
		a.Seen = seen
		return a
	}
	var refusal struct {
		Detail string
		Code   cardea.Code
	}
	if err := json.Unmarshal([]byte(body), &refusal); err != nil {
		t.Fatalf("status %d: %v: %q", r.StatusCode, err, body)
	}
	a.Message, a.Code = refusal.Detail, refusal.Code
	if after := r.Header.Get("Retry-After"); after != "" {
		seconds, err := strconv.Atoi(after)
		if err != nil {
			t.Errorf("Retry-After: %v", err)
		}
		a.RetryAfter = time.Duration(seconds) * time.Second
	}
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a refusal may be cached: Cache-Control %q", r.Header.Get("Cache-Control"))
	}
	return a
}
