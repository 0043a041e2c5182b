package notify

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/cardea-auth/cardea/internal/auth"
)

const inboxSize = 500

// Inbox is the sender of dev and of tests: it keeps the last 500 messages in memory. The
// zero value is ready. It is safe for concurrent use.
type Inbox struct {
	mu       sync.Mutex
	messages []Rendered // oldest first
	changed  chan struct{}
}

// Send keeps the message. One that comes again under its id replaces the first.
func (b *Inbox) Send(_ context.Context, m Rendered) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = slices.DeleteFunc(b.messages, func(o Rendered) bool { return o.ID == m.ID })
	if len(b.messages) >= inboxSize {
		b.messages = slices.Delete(b.messages, 0, len(b.messages)-inboxSize+1)
	}
	b.messages = append(b.messages, m)
	b.tell()
	return nil
}

// Messages gives what was sent to an address or number, newest first; to everybody when
// to is empty.
func (b *Inbox) Messages(to string) []Rendered {
	b.mu.Lock()
	defer b.mu.Unlock()
	to = inboxAddress(to)
	found := []Rendered{}
	for _, m := range slices.Backward(b.messages) {
		if to == "" || inboxAddress(m.To) == to {
			found = append(found, m)
		}
	}
	return found
}

// Message gives one message.
func (b *Inbox) Message(id auth.ID) (Rendered, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.messages, func(m Rendered) bool { return m.ID == id })
	if i < 0 {
		return Rendered{}, false
	}
	return b.messages[i], true
}

// Delete forgets one message and tells whether there was one.
func (b *Inbox) Delete(id auth.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.messages)
	b.messages = slices.DeleteFunc(b.messages, func(m Rendered) bool { return m.ID == id })
	if len(b.messages) == before {
		return false
	}
	b.tell()
	return true
}

// Clear forgets everything.
func (b *Inbox) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = nil
	b.tell()
}

// Changed gives a channel that is closed at the next change.
func (b *Inbox) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

func (b *Inbox) tell() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// inboxAddress makes one spelling of an address or number: case, blanks (a "+" in a query
// arrives as one) and the "+" of a number do not count.
func inboxAddress(s string) string {
	s = strings.ToLower(strings.Join(strings.Fields(s), ""))
	if !strings.Contains(s, "@") {
		s = strings.TrimPrefix(s, "+")
	}
	return s
}
