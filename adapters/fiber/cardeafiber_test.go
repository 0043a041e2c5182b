package cardeafiber_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"

	"github.com/cardea-auth/cardea"
	cardeafiber "github.com/cardea-auth/cardea/adapters/fiber"
	"github.com/cardea-auth/cardea/cardeatest/guardtest"
)

// server offers the routes of the truth table. mount puts a guard in front of a handler.
func server(mount func(*fiber.App, guardtest.Route, fiber.Handler, fiber.Handler)) guardtest.StartHTTP {
	return func(t testing.TB, v *cardea.Verifier) guardtest.RoundTrip {
		app := fiber.New(fiber.Config{ReadBufferSize: 32 << 10}) // headers larger than a token may be
		for _, route := range guardtest.HTTPRoutes() {
			mount(app, route, guardtest.Guard(route, v, cardeafiber.Require, cardeafiber.Optional), see)
		}
		return send(app)
	}
}

// send goes through Fiber's own parser of requests.
func send(app *fiber.App) guardtest.RoundTrip {
	return func(t testing.TB, r *http.Request) *http.Response {
		t.Helper()
		answer, err := app.Test(r, fiber.TestConfig{Timeout: time.Minute, FailOnTimeout: true})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func see(c fiber.Ctx) error {
	p, ok := cardeafiber.Principal(c)
	// By the binder and not by c.Query, because the binder finds more: it looks at names
	// without regard to case, and takes clinic_id[] for clinic_id.
	var query struct {
		Clinic string `query:"clinic_id"`
	}
	if err := c.Bind().Query(&query); err != nil {
		return err
	}
	seen := guardtest.See(c.Context(), p, ok).Read(c.Params("clinic"), query.Clinic, c.BodyRaw())
	return c.SendString(seen.JSON())
}

// A8.1: a guard of a route, and one of a group.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	t.Run("route", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, server(func(app *fiber.App, route guardtest.Route, guard, handler fiber.Handler) {
			app.Add([]string{route.Method}, route.Pattern(":", ""), guard, handler)
		}))
	})
	t.Run("group", func(t *testing.T) {
		t.Parallel()
		guardtest.RunHTTP(t, server(func(app *fiber.App, route guardtest.Route, guard, handler fiber.Handler) {
			app.Group(route.Pattern(":", ""), guard).Add([]string{route.Method}, "", handler)
		}))
	})
}

// spy is a guard that looks at the request that a requirement would get.
func spy(look func(*http.Request)) fiber.Handler {
	return cardeafiber.Guard(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			look(r)
			next.ServeHTTP(w, r)
		})
	})
}

func TestRequest(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	var got *http.Request
	var body string
	app.Post("/clinics/:clinic/notes/*", spy(func(r *http.Request) {
		got = r
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(b)
	}), func(c fiber.Ctx) error { return c.Send(c.Body()) })

	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://api.example.com/clinics/c1/notes/a/b?x=1&x=2&y=%26&z=%zz;", strings.NewReader(`{"clinic":"c1"}`))
	r.Header.Add("X-Twice", "one")
	r.Header.Add("X-Twice", "two")
	answer := send(app)(t, r)
	if echo, err := io.ReadAll(answer.Body); err != nil || string(echo) != `{"clinic":"c1"}` {
		t.Errorf("the handler got the body %q, %v", echo, err)
	}
	for _, c := range []struct{ name, got, want string }{
		{"method", got.Method, http.MethodPost},
		{"path", got.URL.Path, "/clinics/c1/notes/a/b"},
		{"host", got.Host, "api.example.com"},
		{"path value", got.PathValue("clinic"), "c1"},
		{"rest of the path", got.PathValue("*1"), "a/b"},
		{"query", strings.Join(append(got.URL.Query()["x"], got.URL.Query()["y"]...), " "), "1 2 &"},
		{"query that Fiber reads in its own way", got.URL.Query().Get("z"), "%zz;"},
		{"header", strings.Join(got.Header["X-Twice"], " "), "one two"},
		{"header Host", got.Header.Get("Host"), ""},
		{"body", body, `{"clinic":"c1"}`},
		{"body, later", readAgain(got.Body), "cardeafiber: the body can be read only until the guard has decided"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if got.ContentLength != 15 || got.RemoteAddr == "" {
		t.Errorf("length %d, remote address %q", got.ContentLength, got.RemoteAddr)
	}
}

func readAgain(r io.Reader) string {
	_, err := r.Read(make([]byte, 1))
	if err == nil {
		return ""
	}
	return err.Error()
}

// A body of which the guard could not say what the handler will make of it, or how large
// it is, is not read: a requirement that needs it refuses.
func TestBodiesThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, coding, want string
		config             fiber.Config
	}{
		{"compressed", "gzip", "cardeafiber: the body is compressed", fiber.Config{}},
		{"streamed", "", "cardeafiber: the body is streamed", fiber.Config{StreamRequestBody: true}},
		{"identity", "identity", "", fiber.Config{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app := fiber.New(c.config)
			app.Post("/", spy(func(r *http.Request) {
				if got := readAgain(r.Body); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}), func(c fiber.Ctx) error { return c.SendStatus(fiber.StatusNoContent) })
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"clinic":"c1"}`))
			if c.coding != "" {
				r.Header.Set("Content-Encoding", c.coding)
			}
			if answer := send(app)(t, r); answer.StatusCode != http.StatusNoContent {
				t.Errorf("status %d", answer.StatusCode)
			}
		})
	}
}

// What the guard was told stays true after Fiber has used its buffers for other requests.
func TestNothingIsShared(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	var kept []*http.Request
	app.Get("/clinics/:clinic", spy(func(r *http.Request) { kept = append(kept, r) }),
		func(c fiber.Ctx) error { return c.SendStatus(fiber.StatusNoContent) })
	names := []string{"aaaa", "bbbb", "cccc", "dddd"}
	for _, name := range names {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/clinics/"+name+"?q="+name, http.NoBody)
		r.Header.Set("X-Name", name)
		r.Host = name
		send(app)(t, r)
	}
	for n, want := range names {
		r := kept[n]
		got := []string{r.PathValue("clinic"), strings.TrimPrefix(r.URL.Path, "/clinics/"), r.URL.Query().Get("q"), r.Header.Get("X-Name"), r.Host}
		for _, value := range got {
			if value != want {
				t.Errorf("request %d became %q, want %q", n, got, want)
				break
			}
		}
	}
}

// A refusal goes on with the headers that were set outside of the guard, and so does an
// answer of the handler.
func TestHeadersFromOutside(t *testing.T) {
	t.Parallel()
	v, err := cardea.NewVerifier(cardea.Config{
		Issuers: []cardea.Issuer{{URL: "https://auth.example.com/auth/v1", Audiences: []string{"authenticated"}}},
		ErrorEncoder: func(w http.ResponseWriter, _ *http.Request, e *cardea.Error) {
			w.Header().Add("Vary", "Authorization")
			w.Header().Del("X-Gone")
			w.WriteHeader(e.HTTPStatus())
			w.WriteHeader(http.StatusOK) // the first counts
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New()
	app.Use(func(c fiber.Ctx) error {
		c.Set("X-Outside", "yes")
		c.Set("X-Gone", "yes")
		c.Set("Vary", "Origin")
		c.Cookie(&fiber.Cookie{Name: "a", Value: "b"})
		return c.Next()
	})
	app.Get("/user", cardeafiber.Require(v, cardea.Authenticated()), see)
	app.Get("/optional", cardeafiber.Optional(v), func(c fiber.Ctx) error { return c.SendString("hello") })

	answer := send(app)(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/user", http.NoBody))
	h := answer.Header
	if answer.StatusCode != http.StatusUnauthorized || strings.Join(h["Vary"], " ") != "Origin Authorization" ||
		h.Get("X-Outside") != "yes" || h["X-Gone"] != nil || len(answer.Cookies()) != 1 || h["Content-Type"] != nil {
		t.Errorf("status %d, headers %v", answer.StatusCode, h)
	}
	answer = send(app)(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/optional", http.NoBody))
	if got := answer.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" || answer.Header.Get("X-Outside") != "yes" {
		t.Errorf("a guard that lets pass changed the headers: %v", answer.Header)
	}
}

// The error of a handler goes where it would go without a guard; a guard that says neither
// yes nor no is a fault.
func TestErrors(t *testing.T) {
	t.Parallel()
	app := fiber.New()
	broken := errors.New("broken")
	var outside error
	app.Use(func(c fiber.Ctx) error {
		outside = c.Next()
		return outside
	})
	app.Get("/handler", spy(func(*http.Request) {}), func(fiber.Ctx) error { return broken })
	app.Get("/guard", cardeafiber.Guard(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}), func(fiber.Ctx) error { t.Error("the handler ran"); return nil })
	for path, want := range map[string]error{"/handler": broken, "/guard": nil} {
		answer := send(app)(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if answer.StatusCode != http.StatusInternalServerError || !errors.Is(outside, want) {
			t.Errorf("%s: status %d, outside %v", path, answer.StatusCode, outside)
		}
	}
}

// The context that was there before is the parent of the one behind the guard.
func TestContextIsKept(t *testing.T) {
	t.Parallel()
	type key struct{}
	app := fiber.New()
	app.Use(func(c fiber.Ctx) error {
		c.SetContext(context.WithValue(c.Context(), key{}, "kept"))
		return c.Next()
	})
	app.Get("/", cardeafiber.Optional(verifier(t)), func(c fiber.Ctx) error {
		value, _ := c.Context().Value(key{}).(string)
		return c.SendString(value)
	})
	answer := send(app)(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	if b, err := io.ReadAll(answer.Body); err != nil || string(b) != "kept" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestMistakesPanic(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	for name, mistake := range map[string]func(){
		"no verifier":           func() { cardeafiber.Require(nil, cardea.Authenticated()) },
		"optional, no verifier": func() { cardeafiber.Optional(nil) },
		"no requirement":        func() { cardeafiber.Require(v, nil) },
		"no second requirement": func() { cardeafiber.Require(v, cardea.Authenticated(), nil) },
		"no guard":              func() { cardeafiber.Guard(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic: the route would be registered without its guard")
				}
			}()
			mistake()
		})
	}
}

func verifier(t *testing.T) *cardea.Verifier {
	t.Helper()
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
		URL: "https://auth.example.com/auth/v1", Audiences: []string{"authenticated"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
