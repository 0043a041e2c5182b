package admin_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/cardea-auth/cardea/admin"
	"github.com/cardea-auth/cardea/internal/openapi/openapitest"
	"github.com/cardea-auth/cardea/internal/scripttest"
	"github.com/cardea-auth/cardea/internal/surface/adminapi"
)

func document(tb testing.TB) *openapitest.Contract {
	tb.Helper()
	b, err := adminapi.Document()
	if err != nil {
		tb.Fatal(err)
	}
	return openapitest.New(tb, b, "/admin/v1/")
}

// checked compares what goes through h with the document.
func checked(t *testing.T, h http.Handler) http.Handler {
	c := document(t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		c.Check(t, scripttest.Exchange{Request: r, Body: body, Answer: answer})
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

const anID = "019ca869-0000-7000-8000-000000000000"

// Every method of the client calls an operation of the document, and every operation has a
// method.
func TestTheClientIsTheDocument(t *testing.T) {
	t.Parallel()
	called, requests := map[string]bool{}, 0
	wire := roundTrip(func(r *http.Request) (*http.Response, error) {
		called[r.Method+" "+r.URL.Path] = true
		requests++
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader([]byte("{}"))), Request: r}, nil
	})
	c, err := admin.New(admin.Config{URL: "https://auth.example", Key: "k", HTTP: &http.Client{Transport: wire}})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []any{c.Users, c.Tenants, c.Relations, c.Roles, c.Keys, c.APIKeys, c.Messages, c.Erasures} {
		v := reflect.ValueOf(service)
		for i := range v.NumMethod() {
			before := requests
			callAll(t, v.Method(i))
			if requests == before {
				t.Errorf("%s.%s asked nothing", v.Type(), v.Type().Method(i).Name)
			}
		}
	}
	var documented []string
	document(t).Each(func(method, path string, _ *openapi3.Operation) { documented = append(documented, method+" "+path) })
	slices.Sort(documented)
	if got := slices.Sorted(maps.Keys(called)); !slices.Equal(got, documented) {
		t.Errorf("the client calls\n%q\nthe document has\n%q", got, documented)
	}
}

// callAll calls a method with an id for every text, and walks a list to its end.
func callAll(t *testing.T, method reflect.Value) {
	t.Helper()
	var args []reflect.Value
	for i := range method.Type().NumIn() {
		in := method.Type().In(i)
		switch {
		case in == reflect.TypeFor[context.Context]():
			args = append(args, reflect.ValueOf(t.Context()))
		case in.Kind() == reflect.String:
			args = append(args, reflect.ValueOf(anID).Convert(in))
		default:
			args = append(args, reflect.Zero(in))
		}
	}
	if out := method.Call(args); out[0].Kind() == reflect.Func { // an iterator
		stop := reflect.MakeFunc(out[0].Type().In(0), func([]reflect.Value) []reflect.Value { return []reflect.Value{reflect.ValueOf(false)} })
		out[0].Call([]reflect.Value{stop})
	}
}
