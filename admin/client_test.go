package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/admin"
)

// wire is a transport that calls a handler in the same process.
type wire struct{ http.Handler }

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// seen is what the server saw of a request.
type seen struct {
	Method, Path, Query, Auth, Reason, Agent, Type, Body string
}

func look(r *http.Request) seen {
	s := seen{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Auth: r.Header.Get("Authorization"),
		Reason: r.Header.Get("X-Reason"), Agent: r.UserAgent(), Type: r.Header.Get("Content-Type"),
	}
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		s.Body = string(b)
	}
	return s
}

// answer is one scripted answer; err instead of an answer is a broken connection.
type answer struct {
	status int
	retry  string
	body   string
	err    error
}

// scripted is a client whose server gives the answers in turn, the last one for ever.
func scripted(t *testing.T, c admin.Config, answers ...answer) (*admin.Client, *[]seen) {
	t.Helper()
	var all []seen
	c.URL, c.Key = "https://auth.example.test", "sb_secret_x"
	c.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		all = append(all, look(r))
		a := answers[min(len(all), len(answers))-1]
		if a.err != nil {
			return nil, a.err
		}
		w := httptest.NewRecorder()
		if a.retry != "" {
			w.Header().Set("Retry-After", a.retry)
		}
		w.Header().Set("X-Request-Id", "req1")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
		return w.Result(), nil
	})}
	cl, err := admin.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return cl, &all
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		c    admin.Config
		ok   bool
	}{
		{"https", admin.Config{URL: "https://auth.example.test", Key: "k"}, true},
		{"https, with a path of a proxy", admin.Config{URL: "https://example.test/auth/", Key: "k"}, true},
		{"http on loopback", admin.Config{URL: "http://127.0.0.1:8080", Key: "k"}, true},
		{"http on loopback 6", admin.Config{URL: "http://[::1]:8080", Key: "k"}, true},
		{"http on localhost", admin.Config{URL: "http://localhost:8080", Key: "k"}, true},
		{"http elsewhere, allowed", admin.Config{URL: "http://cardea:8080", Key: "k", InsecureHTTP: true}, true},
		{"http elsewhere", admin.Config{URL: "http://cardea:8080", Key: "k"}, false},
		{"a host that looks like loopback", admin.Config{URL: "http://127.0.0.1.example.test", Key: "k"}, false},
		{"nothing", admin.Config{Key: "k"}, false},
		{"no scheme", admin.Config{URL: "auth.example.test", Key: "k"}, false},
		{"other scheme", admin.Config{URL: "ftp://auth.example.test", Key: "k"}, false},
		{"userinfo", admin.Config{URL: "https://u:secret@auth.example.test", Key: "k"}, false},
		{"query", admin.Config{URL: "https://auth.example.test?x=1", Key: "k"}, false},
		{"no URL at all", admin.Config{URL: "https://u:secret@%zz", Key: "k"}, false},
		{"no key", admin.Config{URL: "https://auth.example.test"}, false},
		{"key with a line break", admin.Config{URL: "https://auth.example.test", Key: "k\r\nX: y"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := admin.New(tc.c)
			if tc.ok != (err == nil) || tc.ok != (c != nil) {
				t.Fatalf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	yes := true
	end := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	const user = `{"id":"u1"}`
	for _, tc := range []struct {
		name string
		do   func(ctx context.Context, c *admin.Client) error
		body string // of the answer
		want seen
	}{
		{"list users", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Users.List(ctx, admin.UserQuery{Text: "a&b", Active: &yes, Unassigned: true, Limit: 5, After: "u0"})
			return err
		}, `{"users":[]}`, seen{Method: "GET", Path: "/users", Query: "after=u0&is_active=true&limit=5&q=a%26b&unassigned=true"}},
		{"an id can't leave its place", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Users.Get(ctx, "a/../b?c#d")
			return err
		}, user, seen{Method: "GET", Path: "/users/a%2F..%2Fb%3Fc%23d"}},
		{"change, only what is given", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Because("moved").Users.Change(ctx, "u1", admin.UserChange{Email: new("a@b.test"), AppMetadata: map[string]any{"x": nil}})
			return err
		}, user, seen{Method: "PATCH", Path: "/users/u1", Reason: "moved", Body: `{"email":"a@b.test","app_metadata":{"x":null}}`}},
		{"roles with a reason of its own", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Because("general").Users.SetRoles(ctx, "u1", nil, "special")
			return err
		}, user, seen{Method: "PUT", Path: "/users/u1/roles", Reason: "special", Body: `{"roles":[]}`}},
		{"a reason in another script", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Users.Unban(ctx, "u1", "רופא חדש")
			return err
		}, user, seen{Method: "DELETE", Path: "/users/u1/ban", Reason: "UTF-8''%D7%A8%D7%95%D7%A4%D7%90%20%D7%97%D7%93%D7%A9"}},
		{"a read has no reason", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Because("curious").Users.Sessions(ctx, "u1")
			return err
		}, `{"sessions":[]}`, seen{Method: "GET", Path: "/users/u1/sessions"}},
		{"ban for ever", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Users.Ban(ctx, "u1", 0, "x")
			return err
		}, user, seen{Method: "PUT", Path: "/users/u1/ban", Reason: "x", Body: `{}`}},
		{"ban for a day", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Users.Ban(ctx, "u1", 24*time.Hour, "x")
			return err
		}, user, seen{Method: "PUT", Path: "/users/u1/ban", Reason: "x", Body: `{"for":"24h0m0s"}`}},
		{"no agent", func(ctx context.Context, c *admin.Client) error { return c.Users.AssignAgent(ctx, "u1", "", "x") },
			``, seen{Method: "PUT", Path: "/users/u1/agent", Reason: "x", Body: `{"agent_id":null}`}},
		{"soft deletion", func(ctx context.Context, c *admin.Client) error { return c.Users.Delete(ctx, "u1", true, "x") },
			``, seen{Method: "DELETE", Path: "/users/u1", Query: "soft=true", Reason: "x"}},
		{"member", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Tenants.ChangeMember(ctx, "t1", "u1", admin.MemberChange{Role: new("nurse"), EndsAt: &end})
			return err
		}, `{}`, seen{Method: "PATCH", Path: "/tenants/t1/members/u1", Body: `{"role":"nurse","ends_at":"2026-04-01T00:00:00Z"}`}},
		{"relation", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Relations.Add(ctx, admin.NewRelation{Kind: admin.RelationAgent, SubjectID: "a", ObjectID: "b"})
			return err
		}, `{}`, seen{Method: "POST", Path: "/relations", Body: `{"kind":"agent","subject_id":"a","object_id":"b"}`}},
		{"explain", func(ctx context.Context, c *admin.Client) error {
			_, err := c.Roles.Explain(ctx, "u1", "", "patient:read")
			return err
		}, `{}`, seen{Method: "GET", Path: "/roles/explain", Query: "permission=patient%3Aread&user_id=u1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, all := scripted(t, admin.Config{UserAgent: "tests"}, answer{status: 200, body: tc.body})
			if err := tc.do(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			want := tc.want
			want.Path, want.Auth, want.Agent = "/admin/v1"+want.Path, "Bearer sb_secret_x", "tests"
			if want.Body != "" {
				want.Type = "application/json"
			}
			if d := cmp.Diff([]seen{want}, *all); d != "" {
				t.Error(d)
			}
		})
	}
}

// A missing id must never turn a request for one thing into one for all of them.
func TestMissingIDsAreNotSent(t *testing.T) {
	t.Parallel()
	c, all := scripted(t, admin.Config{}, answer{status: 200, body: `{}`})
	for _, id := range []string{"", ".", ".."} {
		_, err := c.Users.Get(t.Context(), id)
		if err == nil {
			t.Errorf("%q: no error", id)
		}
		if err := c.Users.EndSession(t.Context(), "u1", id, "x"); err == nil {
			t.Errorf("session %q: no error", id)
		}
		if err := c.Tenants.RemoveMember(t.Context(), id, "u1"); err == nil {
			t.Errorf("tenant %q: no error", id)
		}
	}
	if len(*all) != 0 {
		t.Errorf("sent: %v", *all)
	}
}

const busy = `{"detail":"slow down","code":"RATE_LIMITED","request_id":"req1"}`

func TestRetries(t *testing.T) {
	t.Parallel()
	get := func(ctx context.Context, c *admin.Client) error { _, err := c.Users.Get(ctx, "u1"); return err }
	create := func(ctx context.Context, c *admin.Client) error {
		_, err := c.Users.Create(ctx, admin.NewUser{Email: "a@b.test"})
		return err
	}
	ok := answer{status: 200, body: `{"id":"u1"}`}
	broken := answer{err: errors.New("connection refused")}
	for _, tc := range []struct {
		name    string
		c       admin.Config
		do      func(context.Context, *admin.Client) error
		answers []answer
		sent    int
		took    time.Duration
		code    string // of the error; "-" for an error that is no refusal
	}{
		{"429 is waited for", admin.Config{}, get, []answer{{429, "7", busy, nil}, ok}, 2, 7 * time.Second, ""},
		{"503 is waited for", admin.Config{}, get, []answer{{503, "5", busy, nil}, ok}, 2, 5 * time.Second, ""},
		{"a change as well, when the server says so", admin.Config{}, create, []answer{{503, "5", busy, nil}, ok}, 2, 5 * time.Second, ""},
		{"a change without Retry-After is not repeated", admin.Config{}, create, []answer{{503, "", busy, nil}, ok}, 1, 0, "RATE_LIMITED"},
		{"a read without Retry-After is", admin.Config{}, get, []answer{{503, "", busy, nil}, ok}, 2, 200 * time.Millisecond, ""},
		{"a date", admin.Config{Now: func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }}, get,
			[]answer{{429, "Sun, 01 Mar 2026 08:00:09 GMT", busy, nil}, ok}, 2, 9 * time.Second, ""},
		{"too long a wait", admin.Config{}, get, []answer{{429, "31", busy, nil}, ok}, 1, 0, "RATE_LIMITED"},
		{"an absurd wait", admin.Config{}, get, []answer{{429, "99999999999999999999", busy, nil}, ok}, 2, 200 * time.Millisecond, ""},
		{"a negative wait", admin.Config{}, get, []answer{{429, "-5", busy, nil}, ok}, 2, 200 * time.Millisecond, ""},
		{"it gives up", admin.Config{}, get, []answer{{429, "1", busy, nil}}, 3, 2 * time.Second, "RATE_LIMITED"},
		{"one attempt", admin.Config{Attempts: 1}, get, []answer{{429, "1", busy, nil}}, 1, 0, "RATE_LIMITED"},
		{"a broken read", admin.Config{}, get, []answer{broken, broken, ok}, 3, 600 * time.Millisecond, ""},
		{"a broken change", admin.Config{}, create, []answer{broken, ok}, 1, 0, "-"},
		{"500 is not repeated", admin.Config{}, get, []answer{{500, "1", `{"code":"INTERNAL","detail":"x"}`, nil}, ok}, 1, 0, "INTERNAL"},
		{"404 is not repeated", admin.Config{}, get, []answer{{404, "1", `{"code":"USER_NOT_FOUND","detail":"x"}`, nil}, ok}, 1, 0, "USER_NOT_FOUND"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, all := scripted(t, tc.c, tc.answers...)
				start := time.Now()
				err := tc.do(t.Context(), c)
				if took := time.Since(start); took != tc.took || len(*all) != tc.sent {
					t.Errorf("%d requests in %s, want %d in %s", len(*all), took, tc.sent, tc.took)
				}
				for i := range *all { // every attempt is the whole request
					if d := cmp.Diff((*all)[0], (*all)[i]); d != "" {
						t.Error(d)
					}
				}
				switch {
				case tc.code == "" && err == nil, tc.code == "-" && err != nil && admin.CodeOf(err) == "":
				case tc.code == "" || admin.CodeOf(err) != tc.code:
					t.Errorf("error %v, want %q", err, tc.code)
				}
			})
		})
	}
}

func TestACancelledWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, all := scripted(t, admin.Config{}, answer{429, "20", busy, nil})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Users.Get(ctx, "u1")
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second || len(*all) != 1 {
			t.Errorf("%v after %s and %d requests", err, time.Since(start), len(*all))
		}
	})
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		a    answer
		want *admin.Error
		text string
	}{
		{"a refusal", answer{status: 422, body: `{"detail":"Password is too weak","code":"WEAK_PASSWORD","request_id":"r9","reasons":["length"]}`},
			&admin.Error{Method: "GET", Path: "/users/u1", Status: 422, Code: "WEAK_PASSWORD", Message: "Password is too weak", Reasons: []string{"length"}, RequestID: "r9"},
			"admin: GET /users/u1: 422 WEAK_PASSWORD: Password is too weak (request r9)"},
		{"a proxy's page", answer{status: 502, body: `<html>bad gateway</html>`},
			&admin.Error{Method: "GET", Path: "/users/u1", Status: 502, Message: "bad gateway", RequestID: "req1"},
			"admin: GET /users/u1: 502: bad gateway (request req1)"},
		{"JSON of somebody else", answer{status: 403, body: `["no"]`},
			&admin.Error{Method: "GET", Path: "/users/u1", Status: 403, Message: "forbidden", RequestID: "req1"},
			"admin: GET /users/u1: 403: forbidden (request req1)"},
		{"a redirect is not followed", answer{status: 302},
			&admin.Error{Method: "GET", Path: "/users/u1", Status: 302, Message: "found", RequestID: "req1"},
			"admin: GET /users/u1: 302: found (request req1)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, _ := scripted(t, admin.Config{}, tc.a)
			_, err := c.Users.Get(t.Context(), "u1")
			var got *admin.Error
			if !errors.As(err, &got) {
				t.Fatalf("%v", err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if err.Error() != tc.text || strings.Contains(err.Error(), "sb_secret") {
				t.Errorf("%q", err)
			}
		})
	}
	c, _ := scripted(t, admin.Config{}, answer{status: 200, body: `<html>welcome</html>`})
	if _, err := c.Users.Get(t.Context(), "u1"); err == nil || admin.CodeOf(err) != "" {
		t.Errorf("a page instead of an answer: %v", err)
	}
}

// A redirect must not carry the key away, even with a client that would follow.
func TestTheKeyStays(t *testing.T) {
	t.Parallel()
	stolen := false
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen = true }))
	defer thief.Close()
	front := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	mine := front.Client()
	c, err := admin.New(admin.Config{URL: front.URL, Key: "sb_secret_x", HTTP: mine})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Users.Create(t.Context(), admin.NewUser{Email: "a@b.test"}); err == nil || stolen {
		t.Errorf("stolen: %t, %v", stolen, err)
	}
	if mine.CheckRedirect != nil {
		t.Error("the caller's own client was changed")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	list := func(w http.ResponseWriter, r *http.Request) {
		page := map[string]admin.UserPage{
			"":   {Users: []admin.User{{ID: "u1"}, {ID: "u2"}}, Next: "u2"},
			"u2": {Users: []admin.User{{ID: "u3"}}},
			"x":  {Users: []admin.User{{ID: "u4"}}, Next: "x"},
		}
		p, ok := page[r.URL.Query().Get("after")]
		if !ok {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_ = json.NewEncoder(w).Encode(p)
	}
	c, err := admin.New(admin.Config{URL: "https://x.test", Key: "k", HTTP: &http.Client{Transport: wire{http.HandlerFunc(list)}}})
	if err != nil {
		t.Fatal(err)
	}
	walk := func(after string, most int) (ids []string, last error) {
		for u, err := range c.Users.All(t.Context(), admin.UserQuery{After: after}) {
			if last = err; err == nil {
				ids = append(ids, u.ID)
			}
			if len(ids) == most {
				break
			}
		}
		return ids, last
	}
	for _, tc := range []struct {
		name, after string
		most        int
		want        []string
		fails       bool
	}{
		{"all pages", "", 9, []string{"u1", "u2", "u3"}, false},
		{"stop early", "", 1, []string{"u1"}, false},
		{"a server that does not advance", "x", 9, []string{"u4"}, false},
		{"an error ends it", "gone", 9, nil, true},
	} {
		ids, err := walk(tc.after, tc.most)
		if d := cmp.Diff(tc.want, ids); d != "" || tc.fails != (err != nil) {
			t.Errorf("%s: %v %s", tc.name, err, d)
		}
	}
}

// Whatever a reason is, it arrives as a header value that one parser reads back.
func FuzzReason(f *testing.F) {
	for _, s := range []string{"plain", "100% sure", "UTF-8''x", "רופא", "a\r\nX-Other: b", "", "a+b c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		c, all := scripted(t, admin.Config{}, answer{status: 200, body: `{}`})
		if _, err := c.Users.Unban(t.Context(), "u1", reason); err != nil {
			t.Fatal(err)
		}
		got := (*all)[0].Reason
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q", got)
		}
		if rest, ok := strings.CutPrefix(got, "UTF-8''"); ok && rest != "" {
			if s, err := url.PathUnescape(rest); err == nil {
				got = s
			}
		}
		if got != reason {
			t.Fatalf("%q became %q", reason, got)
		}
	})
}
