package role_test

import (
	"sync"
	"testing"

	"github.com/cardea-auth/cardea/internal/role"
)

// TestLive: a broken document leaves the running catalogue, a right one takes its place.
func TestLive(t *testing.T) {
	t.Parallel()
	first := load(t, "permissions: {a: }\nroles: {x: {permissions: a}}\n")
	live := role.NewLive(first)
	for _, broken := range []string{"", "roles: {x: {permissions: b}}", "roles: {x: {inherits: y}, y: {inherits: x}}", "roles: {x: {", "\x00"} {
		if err := live.Reload("new.yaml", []byte(broken)); err == nil {
			t.Errorf("%q was taken", broken)
		}
		if live.Get() != first {
			t.Fatalf("%q took the place of the running catalogue", broken)
		}
	}
	if err := live.Reload("new.yaml", []byte("permissions: {b: }\nroles: {x: {permissions: b}}\n")); err != nil {
		t.Fatal(err)
	}
	if c := live.Get(); c.Has([]string{"x"}, "a") || !c.Has([]string{"x"}, "b") || c.Name() != "new.yaml" {
		t.Error("the new catalogue is not in use")
	}
}

// TestLiveConcurrent: readers see the one catalogue or the other, never a mixture.
func TestLiveConcurrent(t *testing.T) {
	t.Parallel()
	docs := [2][]byte{
		[]byte("permissions: {a: , b: }\nroles: {x: {permissions: a}, y: {permissions: b}}\n"),
		[]byte("permissions: {a: , b: }\nroles: {x: {permissions: b}, y: {permissions: a}}\n"),
	}
	live := role.NewLive(load(t, string(docs[0])))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				c := live.Get()
				if c.Has([]string{"x"}, "a") == c.Has([]string{"y"}, "a") {
					t.Error("two catalogues at once")
					return
				}
			}
		})
	}
	for i := range 200 {
		if err := live.Reload("x", docs[i%2]); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}
