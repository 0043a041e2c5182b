package moving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Store is what an import needs of a database; see store.Moving.
type Store interface {
	StartImport(ctx context.Context, p auth.MoveProgress, resume bool) (auth.MoveProgress, error)
	MoveAccounts(ctx context.Context, b auth.MoveBatch) ([]auth.MoveOutcome, error)
}

// Config says what is imported, and how.
type Config struct {
	Store  Store
	Rules  Rules
	Name   string // of the import: whoever resumes says it again
	Source string // names the other system; its external ids are remembered under it
	Digest string // of what is read; another one begins anew
	Batch  int    // accounts that are stored at a time; 0: 1,000

	DryRun  bool // everything is checked, by the database too, and taken back
	Resume  bool // goes on where the import of this name came to
	Seeks   bool // the reader begins after the last record of an earlier run by itself
	Stop    bool // stops at the first problem, after storing what came before it
	Problem func(Problem) error
	Ready   func() error // before each batch is stored: what its invitations were written to is safe; nil for nothing
	Told    func(Totals) // after each batch; nil for nobody
	Audit   func(p *auth.MoveProgress) (auth.AuditEntry, error)
}

// Totals count what became of the records.
type Totals struct {
	Read    int64 // records, those of an earlier run included
	Skipped int64 // records of an earlier run, see Resume
	Moved   int64
	Present int64 // moved before
	Taken   int64 // in the way of somebody who is here
	Refused int64 // not fit to be accounts
	Left    int64 // not meant to be accounts here, see [Code.Expected]
	Invited int64 // got a link
	Dropped Dropped
}

// ErrStopped says that an import stopped at a problem because it was told to.
var ErrStopped = errors.New("moving: stopped at the first problem")

// item is an account with where it comes from.
type item struct {
	account  auth.MovedAccount
	line     int64
	position int64
	dropped  Dropped
}

// chunk is what is stored in one step.
type chunk struct {
	items    []item
	position int64 // records read when it was full
	after    string
	problems []Problem
	left     int64 // problems that are none
	last     bool  // nothing comes after it
	stop     bool  // and it ends in a problem
}

// Import reads all records, checks them, and stores them. What it has stored stays, whatever
// happens next: an import that was broken off is begun again, with or without Resume, and
// nobody is there twice. open gives the records, knowing where the import stands. Errors: [ErrStopped], what the reader or the store says, and what
// Problem returns.
func Import(ctx context.Context, c Config, open func(at auth.MoveProgress) (Reader, error)) (Totals, error) {
	if c.Batch <= 0 {
		c.Batch = 1000
	}
	im := &importer{c: c, from: auth.MoveProgress{Name: c.Name, Source: c.Source, Digest: c.Digest}}
	now := auth.Truncate(c.Rules.Now())
	im.from.StartedAt, im.from.UpdatedAt = now, now
	if !c.DryRun {
		at, err := c.Store.StartImport(ctx, im.from, c.Resume)
		if err != nil {
			return Totals{}, fmt.Errorf("moving: begin: %w", err)
		}
		im.from = at
	}
	r, err := open(im.from)
	if err != nil {
		return Totals{}, err
	}
	if c.DryRun {
		im.c.Rules.Invite = func(*auth.User) ([]auth.OneTime, []auth.Message, error) { return nil, nil, nil }
	}
	im.totals.Skipped, im.totals.Read = im.from.Position, im.from.Position
	// Reading and checking goes on while a batch is stored.
	g, gctx := errgroup.WithContext(ctx)
	full := make(chan chunk, 1)
	g.Go(func() error {
		defer close(full)
		return im.fill(gctx, r, full)
	})
	g.Go(func() error {
		for ch := range full {
			if err := im.store(gctx, &ch); err != nil {
				return err
			}
		}
		return nil
	})
	err = g.Wait()
	return im.totals, err //nolint:wrapcheck // wrapped where it happened
}

type importer struct {
	c      Config
	from   auth.MoveProgress
	totals Totals
}

// fill reads records into chunks. Two accounts of one chunk never collide: what the second
// one would be in the way of is stored first.
func (im *importer) fill(ctx context.Context, r Reader, full chan<- chunk) error {
	var ch chunk
	seen := seenKeys{}
	position := int64(0)
	if im.c.Seeks {
		position = im.from.Position
	}
	send := func() error {
		select {
		case full <- ch:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		ch, seen = chunk{}, seenKeys{}
		return nil
	}
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			ch.position, ch.last = position, true
			return send()
		}
		var p *Problem
		if err != nil && !errors.As(err, &p) {
			ch.position = position
			return errors.Join(send(), fmt.Errorf("moving: read: %w", err))
		}
		if position++; position <= im.from.Position {
			continue
		}
		var a auth.MovedAccount
		var d Dropped
		if err == nil {
			a, d, err = im.c.Rules.account(ctx, &rec)
		}
		switch {
		case errors.As(err, &p):
			ch.problems = append(ch.problems, *p)
			if p.Code.Expected() {
				ch.left++
			} else if im.c.Stop {
				ch.position, ch.stop = position-1, true
				return send()
			}
		case err != nil:
			return err
		default:
			if seen.collide(&a) {
				ch.position = position - 1
				if err := send(); err != nil {
					return err
				}
			}
			seen.add(&a)
			ch.items = append(ch.items, item{a, rec.Line, position, d})
			ch.after = a.ExternalID
		}
		if ch.position = position; len(ch.items)+len(ch.problems) >= im.c.Batch {
			if err := send(); err != nil {
				return err
			}
		}
	}
}

// seenKeys are what accounts of one chunk must not share.
type seenKeys map[string]struct{}

func keysOf(a *auth.MovedAccount, each func(string)) {
	each("x" + a.ExternalID)
	each("u" + a.User.ID.String())
	if a.User.Email != "" && !a.User.IsSSO {
		each("e" + a.User.Email)
	}
	if a.User.Phone != "" {
		each("p" + a.User.Phone)
	}
	for i := range a.User.Identities {
		each("i" + a.User.Identities[i].Provider + "\x00" + a.User.Identities[i].ProviderID)
	}
}

func (s seenKeys) collide(a *auth.MovedAccount) bool {
	hit := false
	keysOf(a, func(k string) {
		_, found := s[k]
		hit = hit || found
	})
	return hit
}

func (s seenKeys) add(a *auth.MovedAccount) { keysOf(a, func(k string) { s[k] = struct{}{} }) }

// store stores a chunk and tells what became of it.
func (im *importer) store(ctx context.Context, ch *chunk) error {
	taken, err := im.move(ctx, ch.items, ch.position, ch.after, int64(len(ch.problems))-ch.left, ch.last)
	if err != nil {
		return err
	}
	im.totals.Read = ch.position
	im.totals.Refused += int64(len(ch.problems)) - ch.left
	im.totals.Left += ch.left
	for _, p := range append(ch.problems, taken...) {
		if err := im.c.Problem(p); err != nil {
			return fmt.Errorf("moving: report: %w", err)
		}
	}
	if im.c.Told != nil {
		im.c.Told(im.totals)
	}
	if ch.stop || im.c.Stop && slices.ContainsFunc(taken, func(p Problem) bool { return !p.Code.Expected() }) {
		return ErrStopped
	}
	return nil
}

// move stores accounts and the progress that they are. When the database refuses some, the
// others are found by halving.
func (im *importer) move(ctx context.Context, items []item, position int64, after string, refused int64, last bool) ([]Problem, error) {
	p := im.from
	p.UpdatedAt = auth.Truncate(im.c.Rules.Now())
	p.Position, p.After, p.Refused = position, after, refused
	if p.After == "" {
		p.After = im.from.After
	}
	p.Moved, p.Present, p.Taken, p.FinishedAt = 0, 0, 0, time.Time{}
	if last {
		p.FinishedAt = p.UpdatedAt
	}
	b := auth.MoveBatch{Progress: p, Accounts: make([]auth.MovedAccount, len(items)), DryRun: im.c.DryRun}
	for i := range items {
		b.Accounts[i] = items[i].account
	}
	if len(items) > 0 && !im.c.DryRun {
		entry, err := im.c.Audit(&p)
		if err != nil {
			return nil, fmt.Errorf("moving: audit: %w", err)
		}
		b.Audit = []auth.AuditEntry{entry}
	}
	if im.c.Ready != nil {
		if err := im.c.Ready(); err != nil {
			return nil, fmt.Errorf("moving: %w", err)
		}
	}
	outcomes, err := im.c.Store.MoveAccounts(ctx, b)
	switch {
	case errors.Is(err, auth.ErrUnstorable) && len(items) > 1:
		half := len(items) / 2
		first, err := im.move(ctx, items[:half], items[half-1].position, items[half-1].account.ExternalID, 0, false)
		if err != nil {
			return nil, err
		}
		second, err := im.move(ctx, items[half:], position, after, refused, last)
		return append(first, second...), err
	case errors.Is(err, auth.ErrUnstorable) && len(items) == 1:
		im.totals.Refused++
		problems, err := im.move(ctx, nil, position, after, refused+1, last)
		return append(problems, *failed(items[0].line, items[0].account.ExternalID, CodeRefused, "the database refuses the account: a check or a trigger")), err
	case err != nil:
		return nil, fmt.Errorf("moving: store: %w", err)
	}
	im.from.After = p.After
	return im.count(items, outcomes), nil
}

// count adds up outcomes; the answer are those that somebody has to look at.
func (im *importer) count(items []item, outcomes []auth.MoveOutcome) []Problem {
	var problems []Problem
	for i, o := range outcomes {
		t := &im.totals
		switch o {
		case auth.Moved:
			t.Moved++
			if len(items[i].account.Messages)+len(items[i].account.Tokens) > 0 {
				t.Invited++
			}
			d := &items[i].dropped
			t.Dropped.Hash += d.Hash
			t.Dropped.Factors += d.Factors
			t.Dropped.Roles += d.Roles
			t.Dropped.Members += d.Members
			t.Dropped.Profile += d.Profile
		case auth.MovePresent:
			t.Present++
		case auth.MoveDeleted:
			t.Left++
			problems = append(problems, *failed(items[i].line, items[i].account.ExternalID, CodeDeleted, "deleted here, and does not come back"))
		default:
			t.Taken++
			code, reason := inTheWay(o)
			problems = append(problems, *failed(items[i].line, items[i].account.ExternalID, code, reason))
		}
	}
	return problems
}

func inTheWay(o auth.MoveOutcome) (Code, string) {
	switch o {
	case auth.MoveEmailTaken:
		return CodeEmailTaken, "another account has the e-mail address"
	case auth.MovePhoneTaken:
		return CodePhoneTaken, "another account has the phone number"
	case auth.MoveIDTaken:
		return CodeIDTaken, "another account has the id"
	case auth.MoveIdentityTaken:
		return CodeIdentity, "another account has the identity"
	}
	return CodeTenant, "a tenant that does not exist any more"
}
