package role

import "sync/atomic"

// Live holds the catalogue that is in use and lets it be replaced while others read.
type Live struct {
	current atomic.Pointer[Catalogue]
}

// NewLive starts with a catalogue; with nil it denies everything.
func NewLive(c *Catalogue) *Live {
	if c == nil {
		c = &Catalogue{}
	}
	l := &Live{}
	l.current.Store(c)
	return l
}

// Get gives the catalogue of this moment; never nil. Ask once for one decision: two calls
// may give two catalogues.
func (l *Live) Get() *Catalogue { return l.current.Load() }

// Reload puts the catalogue of a document in place of the running one. When the document
// is wrong the running one stays, and the error is an [*Error] with everything that is
// wrong.
func (l *Live) Reload(name string, doc []byte) error {
	c, err := Load(name, doc)
	if err != nil {
		return err
	}
	l.current.Store(c)
	return nil
}
