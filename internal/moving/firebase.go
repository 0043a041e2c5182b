package moving

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// FirebaseHash are the password hash parameters of a project, as its console shows them. The
// zero value is for a project without passwords.
type FirebaseHash struct {
	SignerKey     string // base64
	SaltSeparator string // base64
	Rounds        int    // 1 to 64; 8 in every project
	MemCost       int    // 1 to 24; 14 in every project
}

// Firebase reads what `firebase auth:export --format=JSON` writes.
func Firebase(r io.Reader, h FirebaseHash) (Reader, error) {
	prefix := ""
	if h.SignerKey != "" {
		signer, err := base64.StdEncoding.DecodeString(h.SignerKey)
		separator, err2 := base64.StdEncoding.DecodeString(h.SaltSeparator)
		if err != nil || err2 != nil || len(signer) < 16 || h.Rounds < 1 || h.Rounds > 64 || h.MemCost < 1 || h.MemCost > 24 {
			return nil, fmt.Errorf("moving: these are no hash parameters of Firebase: base64 keys, 1 to 64 rounds, a memory cost of 1 to 24")
		}
		prefix = fmt.Sprintf("$fbscrypt$v=1,n=%d,r=%d,p=1,", h.MemCost, h.Rounds)
		if len(separator) > 0 {
			prefix += "ss=" + base64.StdEncoding.EncodeToString(separator) + ","
		}
		prefix += "sk=" + base64.StdEncoding.EncodeToString(signer)
	}
	f := firebase{prefix}
	return records{newElements(r, "users"), f.read}, nil
}

// firebase makes hashes with this prefix; "" when the parameters are not known.
type firebase struct{ prefix string }

type firebaseUser struct {
	LocalID          string      `json:"localId"`
	Email            string      `json:"email"`
	EmailVerified    bool        `json:"emailVerified"`
	PasswordHash     string      `json:"passwordHash"`
	Salt             string      `json:"salt"`
	DisplayName      string      `json:"displayName"`
	PhotoURL         string      `json:"photoUrl"`
	PhoneNumber      string      `json:"phoneNumber"`
	Disabled         bool        `json:"disabled"`
	CustomAttributes string      `json:"customAttributes"`
	CreatedAt        json.Number `json:"createdAt"`
	LastSignedInAt   json.Number `json:"lastSignedInAt"`
	LastLoginAt      json.Number `json:"lastLoginAt"`
	MFAInfo          []struct{}  `json:"mfaInfo"`
	Providers        []struct {
		ProviderID  string `json:"providerId"`
		RawID       string `json:"rawId"`
		Email       string `json:"email"`
		DisplayName string `json:"displayName"`
		PhotoURL    string `json:"photoUrl"`
	} `json:"providerUserInfo"`
}

func (f *firebase) read(doc []byte, line int64) (Record, error) {
	var u firebaseUser
	if !auth.CleanJSON(doc) || json.Unmarshal(doc, &u) != nil || u.LocalID == "" {
		return Record{}, problem(line, CodeForm, "no user of Firebase")
	}
	rec := Record{
		ExternalID: u.LocalID, Email: u.Email, Phone: u.PhoneNumber, FullName: u.DisplayName, ImageURL: u.PhotoURL, HasProfile: true,
		Factors: len(u.MFAInfo),
	}
	if rec.Phone != "" {
		rec.PhoneProved = ProvedSometime() // Firebase keeps no number that was not
	}
	if u.EmailVerified {
		rec.EmailProved = ProvedSometime()
	}
	if u.Disabled {
		rec.BannedUntil = Forever()
	}
	signedIn := u.LastSignedInAt
	if signedIn == "" {
		signedIn = u.LastLoginAt
	}
	var ok, also bool
	rec.CreatedAt, ok = millis(u.CreatedAt)
	if rec.LastSignInAt, also = millis(signedIn); !ok || !also {
		return rec, failed(line, u.LocalID, CodeTime, "not a moment that can be stored")
	}
	if u.CustomAttributes != "" {
		claims := json.RawMessage(u.CustomAttributes)
		if !auth.CleanJSON(claims) || json.Unmarshal(claims, &rec.App) != nil {
			return rec, failed(line, u.LocalID, CodeMetadata, "custom attributes that can't be stored")
		}
		rec.Roles = takeRoles(rec.App)
	}
	f.setPassword(&rec, &u)
	for _, p := range u.Providers {
		if p.ProviderID == "password" || p.ProviderID == "phone" {
			continue
		}
		data, err := json.Marshal(map[string]string{"sub": p.RawID, "email": strings.ToLower(p.Email), "full_name": p.DisplayName, "avatar_url": p.PhotoURL})
		if err != nil {
			return rec, failed(line, u.LocalID, CodeMetadata, "an identity that can't be stored")
		}
		rec.Identities = append(rec.Identities, Identity{Provider: providerName(p.ProviderID), ProviderID: p.RawID, Data: data})
	}
	return rec, nil
}

// setPassword makes the hash in the form that package password reads.
func (f *firebase) setPassword(rec *Record, u *firebaseUser) {
	switch {
	case u.PasswordHash == "":
	case f.prefix == "":
		rec.HashProblem = "there is a password, and the project's hash parameters are not given"
	default:
		hash, ok := standardBase64(u.PasswordHash)
		salt, ok2 := standardBase64(u.Salt)
		if !ok || !ok2 {
			rec.HashProblem = "hash or salt is not base64"
			return
		}
		rec.Hash = f.prefix + "$" + salt + "$" + hash
	}
}

// standardBase64 reads base64 of either alphabet, padded or not, and writes the usual one.
func standardBase64(s string) (string, bool) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	return base64.StdEncoding.EncodeToString(b), err == nil && len(b) > 0
}

// providerName gives our name for a provider of another system: google.com is google.
func providerName(s string) string {
	s = strings.ToLower(s)
	for suffix, name := range map[string]string{
		"google.com": "google", "google-oauth2": "google", "apple.com": "apple", "facebook.com": "facebook", "github.com": "github",
		"twitter.com": "twitter", "microsoft.com": "azure", "windowslive": "azure", "linkedin": "linkedin_oidc",
	} {
		if s == suffix {
			return name
		}
	}
	return s
}

// failed is a problem with the id that the other system knows.
func failed(line int64, external string, code Code, reason string) *Problem {
	p := problem(line, code, "%s", reason)
	p.ExternalID = external
	return p
}
