package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Bad input has a status of 400 to 499 and a stable code, and changes no row.
func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := open(t, load(t, databaseURL(t, kind), "CARDEA_ANONYMOUS_ENABLED=false"))
			a := call(s, "POST", "/auth/v1/signup", "", credentials("a@example.org"))
			service, err := s.APIKeys().JWT("service_role")
			if err != nil || a.Status != 200 {
				t.Fatal(a, err)
			}
			before := snapshot(t, s, service)
			for _, r := range badRequests(a.Access, service, a.User.ID) {
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, r)
				var body struct {
					Code  int    `json:"code"`
					Error string `json:"error_code"`
				}
				err := json.Unmarshal(w.Body.Bytes(), &body)
				if w.Code < 400 || w.Code > 499 || err != nil || body.Error == "" || body.Code != w.Code || body.Error == "unexpected_failure" {
					t.Errorf("%s %.60s: %d %.200s", r.Method, r.URL, w.Code, w.Body)
				}
			}
			if after := snapshot(t, s, service); after != before {
				t.Errorf("a refused request changed a row:\n%s\n%s", before, after)
			}
		})
	}
}

// snapshot is every account as an operator sees it.
func snapshot(t *testing.T, s *Server, service string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/auth/v1/admin/users", nil)
	r.Header.Set("Authorization", "Bearer "+service)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// badRequests are requests that a fuzzer, a scanner or a broken client sends.
func badRequests(access, service, id string) []*http.Request {
	deep := strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)
	bodies := []string{
		"", " ", "null", "[]", "5", `"x"`, "{", `{"email"`, "\x00", "\xff\xfe", deep, `{"data":` + deep + `}`,
		`{"email":{}}`, `{"email":["a@b.c"],"password":"correct horse"}`, `{"email":"b@example.org","password":12345678}`,
		`{"email":"b@example.org","email":"c@example.org","password":"correct horse"}`,
		`{"email":"b@example.org","password":"correct\u0000horse"}`, `{"email":"b@example.org","password":"correct horse","data":{"x":"\u0000"}}`,
		`{"email":"b@example.org","password":"correct horse","data":{"x":"\ud800"}}`, `{"email":"b@example.org","password":"correct horse","data":[]}`,
		"{\"email\":\"b@example.org\",\"password\":\"correct horse\",\"data\":{\"x\":\"\xff\"}}",
		`{"email":"b@example.org\r\nBcc: c@example.org","password":"correct horse"}`, `{"email":"","phone":"","password":"correct horse"}`,
		`{"email":"` + strings.Repeat("x", 300) + `@example.org","password":"correct horse"}`,
		`{"email":"b@example.org","password":"` + strings.Repeat("x", 73) + `"}`, // bcrypt would drop the last byte
		`{"email":"b@example.org","password":"` + strings.Repeat("x", 5000) + `"}`,
		`{"email":"b@example.org","password":"` + strings.Repeat("x", 2<<20) + `"}`, // 413
	}
	var out []*http.Request
	add := func(method, path, token, body string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		if token != "" {
			r.Header.Set("Authorization", token)
		}
		out = append(out, r)
	}
	for _, b := range bodies {
		add("POST", "/auth/v1/signup", "", b)
		add("POST", passwordPath, "", b)
		add("POST", refreshPath, "", b)
		if !strings.Contains(b, `"data":[]`) { // no member of that route
			add("POST", "/auth/v1/admin/users", "Bearer "+service, b)
		}
	}
	for _, b := range bodies[:20] {
		add("PUT", "/auth/v1/user", "Bearer "+access, b)
		if !strings.Contains(b, `"data":[]`) {
			add("PUT", "/auth/v1/admin/users/"+id, "Bearer "+service, b)
		}
	}
	for _, header := range []string{
		"x", "Bearer", "Bearer ", "Bearer a b", "Basic eA==", "Bearer x", "Bearer x.y.z", "Bearer " + access + "x", "bearer " + strings.Repeat("x", 100_000),
		"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "Bearer sb_secret_nobody", "Bearer sb_", "Bearer \x00",
	} {
		add("GET", "/auth/v1/user", header, "")
		add("PUT", "/auth/v1/user", header, `{"data":{"x":1}}`)
		add("POST", "/auth/v1/logout", header, "")
		add("GET", "/auth/v1/admin/users", header, "")
		add("DELETE", "/auth/v1/admin/users/"+id, header, "")
	}
	for _, path := range []string{
		"/auth/v1/", "/auth/v1/nothing", "/auth/v1/signup/x", "/auth/v1/admin/users/" + id + "x", "/auth/v1/admin/users/%00",
		"/auth/v1/admin/users/..%2f", "/auth/v1/token?grant_type=%00", "/auth/v1/token?grant_type=" + strings.Repeat("x", 20_000),
		"/auth/v1/logout?scope=%ff", "/auth/v1/admin/users?page=-1", "/auth/v1/admin/users?per_page=1e9", "/auth/v1/admin/users?filter=%00",
		"/auth/v1/admin/users?sort=password+asc", "/auth/v1/admin/users?sort=email+sideways",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
			if strings.Contains(path, "?") && strings.HasPrefix(path, "/auth/v1/admin") && method != "GET" {
				continue
			}
			add(method, path, "Bearer "+service, "")
		}
	}
	return out
}

// A body that trickles in is cut off by the time limit, and holds nothing for longer.
func TestSlowBodyIsCutOff(t *testing.T) {
	t.Parallel()
	cfg := load(t, databaseURL(t, "sqlite"))
	cfg.HTTP.ReadTimeout = 100 * time.Millisecond
	cfg.HTTP.ReadHeaderTimeout = 100 * time.Millisecond
	s, ln := open(t, cfg), listen(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	for _, start := range []string{
		"POST /auth/v1/signup HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"email\":",
		"POST /auth/v1/signup HTTP/1.1\r\nHost: x\r\n",
	} {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, start)
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn) // ends when the server closes
		if err != nil {
			t.Errorf("the connection stayed open: %v", err)
		}
		if strings.Contains(string(answer), " 500 ") || strings.Contains(string(answer), " 200 ") {
			t.Errorf("answered %s", answer)
		}
		_ = conn.Close()
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
