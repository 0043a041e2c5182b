package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
)

// snapshot is everything the request path needs, as of one moment. It never changes.
type snapshot struct {
	keys []*key // from the database, oldest first, without revoked ones
	rows []auth.SigningKey

	access  *signer // signs access tokens
	apiKey  *signer // signs API keys
	refresh *key    // makes refresh tokens
	masters []*key  // all that check refresh tokens, the current one first

	sessions map[string][]cardea.Key // kid → access keys; "" is the shared secret
	apiKeys  map[string]cardea.Key   // kid → keys that sign nothing but API keys
	shared   map[string]cardea.Key   // kid → keys that sign both; "" is the shared secret

	jwks []byte
	etag string

	opening []byte // how the payload of a session's token begins

	until time.Time // when the next key drops out by its age; zero: none will
}

// at gives the snapshot that holds now: previous keys drop out when their last token has
// expired, also while the database can't be reached.
func (r *Ring) at(now time.Time) *snapshot {
	s := r.state.Load()
	if s.until.IsZero() || now.Before(s.until) {
		return s
	}
	next, err := r.build(s.keys, s.rows, now)
	if err != nil { // a smaller set of keys that were good before
		return s
	}
	r.state.CompareAndSwap(s, next) // if a reload was faster, that one is at least as new
	return next
}

// retires is when the last token of a previous key has expired; zero: not by age alone.
// Refresh masters stay until they are revoked, since a session may last for ever.
func (r *Ring) retires(row *auth.SigningKey) time.Time {
	if row.Status != auth.KeyPrevious || row.RetiredAt.IsZero() {
		return time.Time{}
	}
	switch row.Use {
	case auth.KeyUseAccess:
		return row.RetiredAt.Add(r.config.TTL + retireSlack)
	case auth.KeyUseAPIKey:
		return row.RetiredAt.AddDate(apiKeyYears, 0, 0).Add(retireSlack)
	case auth.KeyUseRefresh:
	}
	return time.Time{}
}

// build sorts keys by what they are for.
func (r *Ring) build(keys []*key, rows []auth.SigningKey, now time.Time) (*snapshot, error) {
	s := &snapshot{
		keys: keys, rows: rows, opening: r.opening,
		sessions: map[string][]cardea.Key{}, apiKeys: map[string]cardea.Key{}, shared: map[string]cardea.Key{},
	}
	published := []*jwk{} // an empty set is {"keys":[]}, never null
	publish := func(k *key) {
		if k.jwk != nil {
			published = append(published, k.jwk)
		}
	}
	for _, k := range r.given {
		s.sessions[k.row.ID], s.shared[k.row.ID] = []cardea.Key{k.verifying()}, k.verifying()
		publish(k)
		if k.signer != nil {
			s.access, s.apiKey = k.signer, k.signer
		}
	}
	if r.secret != nil {
		for _, kid := range []string{"", r.config.SecretID} {
			if _, taken := s.shared[kid]; taken { // GoTrue lists the secret among its keys too
				continue
			}
			k := r.secret.verifying()
			k.ID = kid
			s.sessions[kid], s.shared[kid] = []cardea.Key{k}, k
		}
		if r.config.source() == secretSigns {
			s.access, s.apiKey = r.secret.signer, r.secret.signer
		}
	}
	for _, k := range keys {
		end := r.retires(&k.row)
		if !end.IsZero() && !now.Before(end) {
			continue
		}
		if !end.IsZero() && (s.until.IsZero() || end.Before(s.until)) {
			s.until = end
		}
		if _, taken := s.shared[k.row.ID]; taken {
			return nil, fmt.Errorf("token: given key, or JWT secret, %q has the kid of a key in the database", k.row.ID)
		}
		s.add(k, r.config.source() == ringSigns)
		publish(k)
	}
	body, err := json.Marshal(struct {
		Keys []*jwk `json:"keys"`
	}{published})
	if err != nil {
		return nil, fmt.Errorf("token: key set: %w", err)
	}
	sum := sha256.Sum256(body)
	s.jwks, s.etag = body, `"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`
	return s, nil
}

// add files one key of the database under its use.
func (s *snapshot) add(k *key, signs bool) {
	current := k.row.Status == auth.KeyCurrent
	switch k.row.Use {
	case auth.KeyUseAccess:
		s.sessions[k.row.ID] = []cardea.Key{k.verifying()}
		if current && signs {
			s.access = k.signer
		}
	case auth.KeyUseAPIKey:
		s.apiKeys[k.row.ID] = k.verifying()
		if current && signs {
			s.apiKey = k.signer
		}
	case auth.KeyUseRefresh:
		if !current {
			s.masters = append(s.masters, k)
			return
		}
		s.refresh = k
		s.masters = append([]*key{k}, s.masters...)
	}
}

func (k *key) verifying() cardea.Key {
	return cardea.Key{ID: k.row.ID, Algorithm: k.row.Algorithm, Public: k.public}
}
