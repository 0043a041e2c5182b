package moving

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Keycloak reads an exported realm, or the part of one that has its users.
func Keycloak(r io.Reader) Reader { return records{newElements(r, "users"), keycloakUser} }

type keycloakCredential struct {
	Type           string `json:"type"`
	SecretData     string `json:"secretData"`
	CredentialData string `json:"credentialData"`
	// Old versions have everything here.
	HashedSaltedValue string `json:"hashedSaltedValue"`
	Salt              string `json:"salt"`
	HashIterations    int    `json:"hashIterations"`
	Algorithm         string `json:"algorithm"`
}

func keycloakUser(doc []byte, line int64) (Record, error) {
	var u struct {
		ID               string               `json:"id"`
		Username         string               `json:"username"`
		Email            string               `json:"email"`
		EmailVerified    bool                 `json:"emailVerified"`
		Enabled          *bool                `json:"enabled"`
		FirstName        string               `json:"firstName"`
		LastName         string               `json:"lastName"`
		CreatedTimestamp json.Number          `json:"createdTimestamp"`
		Attributes       map[string][]string  `json:"attributes"`
		Credentials      []keycloakCredential `json:"credentials"`
		RealmRoles       []string             `json:"realmRoles"`
		ServiceAccount   string               `json:"serviceAccountClientId"`
		Federated        []struct {
			IdentityProvider string `json:"identityProvider"`
			UserID           string `json:"userId"`
			UserName         string `json:"userName"`
		} `json:"federatedIdentities"`
	}
	if !auth.CleanJSON(doc) || json.Unmarshal(doc, &u) != nil || u.ID == "" && u.Username == "" {
		return Record{}, problem(line, CodeForm, "no user of Keycloak")
	}
	external := u.ID
	if external == "" {
		external = "username:" + u.Username
	}
	if u.ServiceAccount != "" {
		return Record{}, failed(line, external, CodeNotPerson, "the account of a client, which is no person")
	}
	first := func(names ...string) string {
		for _, name := range names {
			if v := u.Attributes[name]; len(v) > 0 && v[0] != "" {
				return v[0]
			}
		}
		return ""
	}
	rec := Record{
		ExternalID: external, ID: u.ID, Email: u.Email, HasProfile: true,
		FullName: strings.TrimSpace(u.FirstName + " " + u.LastName), Language: first("locale"),
		ImageURL: first("picture"), BirthDate: first("birthdate"), Phone: first("phone_number", "phoneNumber"),
		Roles: slices.DeleteFunc(u.RealmRoles, func(r string) bool {
			return r == "offline_access" || r == "uma_authorization" || strings.HasPrefix(r, "default-roles-")
		}),
	}
	if rec.Email == "" && strings.Contains(u.Username, "@") {
		rec.Email = u.Username
	}
	if u.EmailVerified {
		rec.EmailProved = ProvedSometime()
	}
	if isTrue(first("phone_number_verified", "phoneNumberVerified")) {
		rec.PhoneProved = ProvedSometime()
	}
	if u.Enabled != nil && !*u.Enabled {
		rec.BannedUntil = Forever()
	}
	var ok bool
	if rec.CreatedAt, ok = millis(u.CreatedTimestamp); !ok {
		return rec, failed(line, external, CodeTime, "not a moment that can be stored")
	}
	for _, c := range u.Credentials {
		switch c.Type {
		case "password":
			rec.Hash, rec.HashProblem = keycloakHash(&c)
		case "otp", "totp", "webauthn", "webauthn-passwordless", "recovery-authn-codes":
			rec.Factors++
		}
	}
	for _, f := range u.Federated {
		data, err := json.Marshal(map[string]string{"sub": f.UserID, "preferred_username": f.UserName})
		if err != nil {
			return rec, failed(line, external, CodeMetadata, "an identity that can't be stored")
		}
		rec.Identities = append(rec.Identities, Identity{Provider: providerName(f.IdentityProvider), ProviderID: f.UserID, Data: data})
	}
	return rec, nil
}

// keycloakHash gives the hash in the form that package password reads, or why it can't.
func keycloakHash(c *keycloakCredential) (hash, why string) {
	var secret struct {
		Value string `json:"value"`
		Salt  string `json:"salt"`
	}
	var data struct {
		HashIterations int                 `json:"hashIterations"`
		Algorithm      string              `json:"algorithm"`
		Additional     map[string][]string `json:"additionalParameters"`
	}
	if c.SecretData == "" {
		secret.Value, secret.Salt = c.HashedSaltedValue, c.Salt
		data.HashIterations, data.Algorithm = c.HashIterations, c.Algorithm
	} else if json.Unmarshal([]byte(c.SecretData), &secret) != nil || json.Unmarshal([]byte(c.CredentialData), &data) != nil {
		return "", "a credential that can't be read"
	}
	if data.Algorithm == "bcrypt" { // of an extension, which keeps the whole hash
		return secret.Value, ""
	}
	salt, ok := rawBase64(secret.Salt)
	sum, ok2 := rawBase64(secret.Value)
	if !ok || !ok2 {
		return "", "hash or salt is not base64"
	}
	param := func(name string) string {
		if v := data.Additional[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	switch data.Algorithm {
	case "pbkdf2", "": // SHA-1
		return fmt.Sprintf("$pbkdf2-sha1$i=%d$%s$%s", data.HashIterations, salt, sum), ""
	case "pbkdf2-sha256", "pbkdf2-sha512":
		return fmt.Sprintf("$%s$i=%d$%s$%s", data.Algorithm, data.HashIterations, salt, sum), ""
	case "argon2":
		if v := param("version"); v != "1.3" {
			return "", "argon2 of another version than 1.3"
		}
		if kind := param("type"); kind == "id" || kind == "i" {
			return fmt.Sprintf("$argon2%s$v=19$m=%s,t=%d,p=%s$%s$%s", kind, param("memory"), data.HashIterations, param("parallelism"), salt, sum), ""
		}
		return "", "argon2 of another type than id and i"
	}
	return "", "an algorithm that is not known"
}

func rawBase64(s string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return base64.RawStdEncoding.EncodeToString(b), err == nil && len(b) > 0
}
