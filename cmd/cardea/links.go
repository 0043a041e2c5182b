package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/cardea-auth/cardea/internal/seal"
	"github.com/cardea-auth/cardea/internal/server"
)

// linksContext is what lines of a file of links are sealed for.
const linksContext = "import links"

// linkFile keeps links encrypted: AES-256-GCM, one line for each. A link is as good as a
// password until it is used or its hour is over.
type linkFile struct {
	mu   sync.Mutex
	file *os.File // nil: links are mailed
	box  *seal.Box
}

// link is one line.
type link struct {
	Email string `json:"email"`
	Link  string `json:"link"`
}

// openLinks makes the file and its key, where they are asked for.
func (c *importFlags) openLinks(m *server.Mover) (*linkFile, error) {
	l := &linkFile{}
	if c.Links == "" || c.DryRun {
		return l, nil
	}
	key, err := linksKey(c.LinksKey, true)
	if err != nil {
		return nil, err
	}
	if l.box, err = seal.New(key); err != nil {
		return nil, err
	}
	if l.file, err = privateFile(c.Links, c.Resume); err != nil {
		return nil, err
	}
	m.Link = l.write
	return l, nil
}

// linksKey reads the key, or makes one.
func linksKey(name string, create bool) ([]byte, error) {
	doc, err := os.ReadFile(name) //nolint:gosec // G304: the operator's own path
	if errors.Is(err, fs.ErrNotExist) && create {
		key := make([]byte, seal.KeySize)
		if _, err := rand.Read(key); err != nil {
			return nil, err
		}
		f, err := privateFile(name, false)
		if err != nil {
			return nil, err
		}
		_, err = fmt.Fprintln(f, hex.EncodeToString(key))
		return key, errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(doc)))
	if err != nil || len(key) != seal.KeySize {
		return nil, usageError{fmt.Sprintf("%s holds no key: %d bytes in hexadecimal digits", name, seal.KeySize)}
	}
	return key, nil
}

func (l *linkFile) write(email, address string) error {
	doc, err := json.Marshal(link{email, address})
	if err != nil {
		return err
	}
	sealed, err := l.box.Seal(doc, []byte(linksContext))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = fmt.Fprintln(l.file, base64.StdEncoding.EncodeToString(sealed))
	return err
}

// sync makes the links safe before the accounts are stored: a link without an account does
// no harm, an account without its link would have to ask for another.
func (l *linkFile) sync() error {
	if l.file == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Sync()
}

func (l *linkFile) close() error {
	if l == nil || l.file == nil {
		return nil
	}
	return l.file.Close()
}

type importLinksCmd struct {
	File string `required:"" help:"What --links has written." placeholder:"FILE" type:"path"`
	Key  string `required:"" help:"Its key." placeholder:"FILE" type:"path"`
	Out  string `required:"" help:"File for the links, as CSV, readable by you only." placeholder:"FILE" type:"path"`
}

// Run opens the file of links. They never go to a terminal, which keeps what it has shown.
func (c *importLinksCmd) Run(a *app) (err error) {
	key, err := linksKey(c.Key, false)
	if err != nil {
		return err
	}
	box, err := seal.New(key)
	if err != nil {
		return err
	}
	in, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := privateFile(c.Out, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := csv.NewWriter(out)
	_ = w.Write([]string{"email", "link"}) // Flush gives the error
	n := 0
	for lines := bufio.NewScanner(in); lines.Scan(); {
		sealed, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			return fmt.Errorf("line %d of %s is no sealed link", n+1, c.File)
		}
		doc, err := box.Open(sealed, []byte(linksContext))
		if err != nil {
			return fmt.Errorf("line %d of %s: %w", n+1, c.File, err)
		}
		var l link
		if err := json.Unmarshal(doc, &l); err != nil {
			return fmt.Errorf("line %d of %s: %w", n+1, c.File, err)
		}
		_ = w.Write([]string{l.Email, l.Link})
		n++
	}
	w.Flush()
	a.say("%d links are in %s. Remove it when they are sent.", n, c.Out)
	return w.Error()
}
