package usersync

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/cardea-auth/cardea"
)

// Mode says what happens to a request when its user can't be provisioned because the
// database or the issuer does not answer.
type Mode int

// The modes.
const (
	// Required: the request is answered 503, with AUTH_DB_UNAVAILABLE or
	// AUTH_PROVIDER_UNREACHABLE, and Retry-After: 5.
	Required Mode = iota
	// BestEffort: the request goes on with a Principal that is not Provisioned, and the
	// user is provisioned later without a new sign-in. Handlers have to look: nothing is
	// known of such a user, a deactivation neither.
	BestEffort
)

// Config is what a Syncer needs. Only Store has no default.
type Config struct {
	Store Store
	// Sources say, for each issuer (by [cardea.Principal].Issuer), what it vouches for. Users
	// of an issuer without one get rows without addresses, which are linked to nobody.
	Sources map[string]Source
	Rules   Rules
	Mode    Mode

	// CacheTTL is how long a row is not read again; 0 means 60 s, negative never keeps any.
	// What this Syncer changes shows at once; what another process changes, after that.
	CacheTTL time.Duration
	// CacheSize is the most rows in memory; 0 means 10,000.
	CacheSize int
	// AskEvery is how often the issuer is asked at most about a known user whose row lacks an
	// address that the token has; 0 means 10 min.
	AskEvery time.Duration
	// Timeout bounds what one request waits for database and issuer; 0 means 10 s.
	Timeout time.Duration
	// MemoryQueue is how many users of BestEffort are remembered at most while the database
	// is down; 0 means 1000. Who does not fit in is provisioned by the next request.
	MemoryQueue int

	// OnCreated is called for each new user, at least once, by the request that created it
	// before it goes on, and again by [Syncer.Run] until it succeeds. It never undoes the
	// creation and never fails the request. It has to bear repeats.
	OnCreated func(ctx context.Context, u User) error
	// Consumers get every change; see [Endpoint].
	Consumers []Consumer
	// OnFailure hears of everything that did not work and will be tried again, or was given
	// up. OnConflict hears of what a row and its issuer do not agree on; the table of
	// conflicts has it too. Both may be nil, and have to be quick.
	OnFailure  func(ctx context.Context, f Failure)
	OnConflict func(ctx context.Context, u User, list []Conflict)

	// Poll is how often [Syncer.Run] looks for work; 0 means 2 s.
	Poll time.Duration
	// WriteError answers what the handlers refuse; nil means [cardea.EncodeDetail]. A
	// Verifier's WriteError fits.
	WriteError func(w http.ResponseWriter, r *http.Request, err error)
	// Now is the clock, nil means time.Now. Rand makes ids, nil means crypto/rand.
	Now  func() time.Time
	Rand io.Reader
}

// Failure is something that did not work. It holds no address and no token.
type Failure struct {
	Op              string // "find", "sync", "ask", "queue", "hook", "deliver", "settle"
	Issuer, Subject string // of the user concerned; may be empty
	Consumer        string // for "hook" and "deliver"
	Attempts        int    // so far; 0 where nobody counts
	GivenUp         bool   // it is not tried again by itself; the user's next request does
	Err             error
}

// Syncer provisions users. Make one with [New], share it, and let [Syncer.Run] work beside
// the server. It is safe for use by many goroutines.
type Syncer struct {
	c         Config
	consumers []string
	cache     cache
	memory    memory
	wake      []chan struct{} // one for each chore of Run

	mu      sync.Mutex
	flights map[flightKey]*flight
	resting map[string]rest // issuers that did not answer
	asked   map[userKey]time.Time
	broken  time.Time // when the database last failed
}

// Provision is what became of a user.
type Provision struct {
	User User
	// Provisioned says that User is there. Without it nothing is known.
	Provisioned bool
	Created     bool // just now, by this call
}

// New checks the configuration and lists every problem.
func New(c Config) (*Syncer, error) {
	if problems := c.problems(); len(problems) > 0 {
		return nil, fmt.Errorf("usersync: invalid configuration: %w", errors.Join(problems...))
	}
	c = c.withDefaults()
	s := &Syncer{
		c: c, flights: map[flightKey]*flight{}, resting: map[string]rest{}, asked: map[userKey]time.Time{},
		cache: newCache(c.CacheTTL, c.CacheSize), memory: memory{most: c.MemoryQueue},
	}
	for range s.chores() {
		s.wake = append(s.wake, make(chan struct{}, 1))
	}
	if c.OnCreated != nil {
		s.consumers = append(s.consumers, ConsumerHook)
	}
	for _, one := range c.Consumers {
		s.consumers = append(s.consumers, one.Name())
	}
	return s, nil
}

func (c Config) problems() []error {
	var list []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Errorf(format, args...))
		}
	}
	add(c.Store == nil, "Store is needed")
	add(c.Mode != Required && c.Mode != BestEffort, "Mode: %d is unknown", c.Mode)
	for name, negative := range map[string]bool{
		"CacheSize": c.CacheSize < 0, "AskEvery": c.AskEvery < 0, "Timeout": c.Timeout < 0, "MemoryQueue": c.MemoryQueue < 0, "Poll": c.Poll < 0,
	} {
		add(negative, "%s is negative", name)
	}
	for issuer, source := range c.Sources {
		add(issuer == "" || source == nil, "Sources: %q has no name or no source", issuer)
	}
	names := map[string]bool{ConsumerHook: true, ConsumerWaiting: true}
	for _, one := range c.Consumers {
		if one == nil {
			add(true, "Consumers: one is nil")
			continue
		}
		add(one.Name() == "" || names[one.Name()], "Consumers: the name %q is empty or taken", one.Name())
		names[one.Name()] = true
	}
	return list
}

func (c Config) withDefaults() Config {
	choose := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	choose(&c.CacheTTL, time.Minute)
	choose(&c.AskEvery, 10*time.Minute)
	choose(&c.Timeout, 10*time.Second)
	choose(&c.Poll, 2*time.Second)
	if c.CacheSize == 0 {
		c.CacheSize = 10_000
	}
	if c.MemoryQueue == 0 {
		c.MemoryQueue = 1000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.OnFailure == nil {
		c.OnFailure = func(context.Context, Failure) {}
	}
	if c.OnConflict == nil {
		c.OnConflict = func(context.Context, User, []Conflict) {}
	}
	if c.WriteError == nil {
		c.WriteError = writeError
	}
	return c
}

// now is the time as databases keep it.
func (s *Syncer) now() time.Time { return s.c.Now().UTC().Truncate(time.Microsecond) }

// newID makes a UUID of version 7 (RFC 9562 §5.7).
func (s *Syncer) newID(now time.Time) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.c.Rand, b[6:]); err != nil {
		return "", fmt.Errorf("usersync: random bytes for an id: %w", err)
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// Ensure makes sure that the user of a verified token has a row, and gives it. The token is
// needed only to ask the issuer about somebody new; "" if it is not at hand.
//
// Every error is an *[cardea.Error]: USER_INACTIVE for a row that is not active,
// AUTH_PROVIDER_ERROR where the issuer says no, and, in mode Required only,
// AUTH_DB_UNAVAILABLE and AUTH_PROVIDER_UNREACHABLE. A row that is known costs no statement
// for Config.CacheTTL.
func (s *Syncer) Ensure(ctx context.Context, p *cardea.Principal, token string) (Provision, error) {
	key := userKey{p.Issuer, p.Subject}
	if u, ok := s.cache.get(key, s.c.Now()); ok {
		return Provision{User: u, Provisioned: true}, nil
	}
	if s.c.Mode == BestEffort && s.databaseRests() {
		s.later(ctx, p, token, errRests)
		return Provision{}, nil
	}
	got, err := s.join(ctx, p, token)
	if err == nil || s.c.Mode == Required || !outage(err) {
		return got, err
	}
	s.later(ctx, p, token, err)
	return Provision{}, nil
}

// outage says whether an error says nothing about the user.
func outage(err error) bool {
	code := cardea.CodeOf(err)
	return code == cardea.CodeUserUnavailable || code == cardea.CodeProviderUnreachable
}

// provision does the work of Ensure, for one of many callers.
func (s *Syncer) provision(ctx context.Context, p *cardea.Principal, token string) (Provision, error) {
	generation := s.cache.generation.Load()
	u, err := s.c.Store.Find(ctx, p.Issuer, p.Subject)
	switch {
	case errors.Is(err, ErrNoUser):
		return s.create(ctx, p, token, generation)
	case err != nil:
		return Provision{}, s.failed(ctx, "find", p, err)
	case u.Status == StatusSuperseded, u.Status == StatusBanned && s.mayAsk(p):
		return s.create(ctx, p, token, generation)
	case u.Status != StatusActive:
		return Provision{}, inactive(u)
	case s.lacks(u, p):
		if got, err := s.create(ctx, p, token, generation); err == nil || !outage(err) {
			return got, err
		} // the user is known; what is lacking can wait
	}
	s.cache.put(generation, u, s.c.Now())
	return Provision{User: u, Provisioned: true}, nil
}

// lacks says whether the token has an address that the row has not, and nobody asked the
// issuer lately. What it says decides; the token only gives the hint.
func (s *Syncer) lacks(u User, p *cardea.Principal) bool {
	email, phone := NormalizeEmail(p.Email), NormalizePhone(p.Phone)
	lacks := (email != "" && email != u.Email && !u.EmailStale) || (phone != "" && phone != u.Phone && !u.PhoneStale)
	return lacks && s.now().Sub(u.EvidenceAt) >= s.c.AskEvery
}

// mayAsk says whether the issuer may be asked now whether its ban of a user is over: bans
// end by the clock, without any news. Not with each request of somebody who was banned.
func (s *Syncer) mayAsk(p *cardea.Principal) bool {
	if s.c.Sources[p.Issuer] == nil {
		return false
	}
	key, now := userKey{p.Issuer, p.Subject}, s.c.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked, ok := s.asked[key]; ok && now.Sub(asked) >= 0 && now.Sub(asked) < s.c.AskEvery {
		return false
	}
	if len(s.asked) >= s.c.CacheSize {
		clear(s.asked)
	}
	s.asked[key] = now
	return true
}

func inactive(u User) error {
	return cardea.NewError(cardea.CodeUserInactive, fmt.Errorf("usersync: row %s is %s", u.ID, u.Status))
}

// create asks the issuer and carries the plan out.
func (s *Syncer) create(ctx context.Context, p *cardea.Principal, token string, generation uint64) (Provision, error) {
	id, asked, err := s.ask(ctx, p, token)
	if err != nil {
		return Provision{}, err
	}
	return s.sync(ctx, Request{Identity: id, Asked: asked}, generation)
}

// sync calls the store, and does what follows.
func (s *Syncer) sync(ctx context.Context, r Request, generation uint64) (Provision, error) {
	who := &cardea.Principal{Issuer: r.Identity.Issuer, Subject: r.Identity.Subject}
	if !r.Identity.Valid() {
		return Provision{}, cardea.NewError(cardea.CodeSubject, nil)
	}
	r.At, r.Rules, r.Consumers = s.now(), s.c.Rules, s.consumers
	var err error
	if r.NewID, err = s.newID(r.At); err == nil {
		r.EventID, err = s.newID(r.At)
	}
	if err != nil {
		return Provision{}, s.failed(ctx, "sync", who, err)
	}
	result, err := s.c.Store.Sync(ctx, r)
	switch {
	case errors.Is(err, ErrReplayed):
		return Provision{}, err
	case err != nil:
		return Provision{}, s.failed(ctx, "sync", who, err)
	}
	u := result.User
	if len(result.Plan.Conflicts) > 0 {
		s.c.OnConflict(ctx, u, result.Plan.Conflicts)
	}
	if result.Plan.Action != ActionNone {
		s.changed(u)
		generation = s.cache.generation.Load()
	}
	created := result.Plan.Action == ActionCreate && u.Status == StatusActive
	if created && s.c.OnCreated != nil {
		s.hook(ctx, Task{ID: r.EventID, Consumer: ConsumerHook, Attempts: 1, LeasedUntil: r.At.Add(hookLease)}, u)
	}
	if result.Plan.Action == ActionRefuse || u.Status != StatusActive {
		return Provision{User: u}, inactive(u)
	}
	s.cache.put(generation, u, s.c.Now())
	return Provision{User: u, Provisioned: true, Created: created}, nil
}

// databaseRestFor is how long requests that may go on without a row do not try a database
// that has just failed: they would wait for a time-out each.
const databaseRestFor = time.Second

var errRests = errors.New("usersync: the database failed a moment ago")

func (s *Syncer) databaseRests() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := s.c.Now().Sub(s.broken)
	return !s.broken.IsZero() && since >= 0 && since < databaseRestFor
}

// failed reports a failure of the database and gives the answer for it (S2.14).
func (s *Syncer) failed(ctx context.Context, op string, p *cardea.Principal, err error) error {
	s.mu.Lock()
	s.broken = s.c.Now()
	s.mu.Unlock()
	s.c.OnFailure(ctx, Failure{Op: op, Issuer: p.Issuer, Subject: p.Subject, Err: err})
	return cardea.NewError(cardea.CodeUserUnavailable, err)
}
