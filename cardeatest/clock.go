package cardeatest

import (
	"sync"
	"testing"
	"time"
)

// Clock is a clock that stands still until the test moves it. Hand [Clock.Now] to
// whatever has a field Now.
type Clock struct {
	mu         sync.Mutex
	start, now time.Time
}

// NewClock makes a Clock that shows start; the zero time stands for the present, so that
// tokens are good for services with a clock of their own too. It panics outside of tests.
func NewClock(tb testing.TB, start time.Time) *Clock {
	onlyInTests(tb)
	tb.Helper()
	if start.IsZero() {
		present := time.Now
		start = present()
	}
	start = start.UTC().Truncate(time.Second) // tokens know whole seconds
	return &Clock{start: start, now: start}
}

// Now gives the time that the clock shows, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock; a negative d moves it back.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set moves the clock to t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t.UTC()
}

// Reset moves the clock back to where it started.
func (c *Clock) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.start
}

// onlyInTests is what keeps this package out of production: even a program that has made
// itself some testing.TB is stopped, because it is not a test binary.
func onlyInTests(tb testing.TB) {
	if !testing.Testing() {
		panic("cardeatest: only in tests")
	}
	if tb == nil {
		panic("cardeatest: needs the *testing.T of the test")
	}
}
