package moving_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cardea-auth/cardea/internal/moving"
	"github.com/cardea-auth/cardea/internal/password"
)

// input is a file in memory.
func input(text string) moving.Input { return strings.NewReader(text) }

// read reads everything. Problems are "line code".
func read(t *testing.T, r moving.Reader) (records []moving.Record, problems []string, broken error) {
	t.Helper()
	for range 100 {
		rec, err := r.Next()
		var p *moving.Problem
		switch {
		case errors.Is(err, io.EOF):
			return records, problems, nil
		case errors.As(err, &p):
			problems = append(problems, fmt.Sprint(p.Line, " ", p.Code))
		case err != nil:
			return records, problems, err
		default:
			records = append(records, rec)
		}
	}
	t.Fatal("the reader does not end")
	return nil, nil, nil
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateErrors()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func at(year int) time.Time { return time.Date(year, 2, 3, 4, 5, 6, 0, time.UTC) }

const (
	signerKey = "ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g6AUCAlFwMw=="
	bcrypt    = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
)

// A file of Firebase's, with what its users may look like and what they must not.
const firebaseFile = `{"ignored": {"users": [1, 2, "]"]}, "users": [
  {"localId": "fb1", "email": "Ada@Example.org", "emailVerified": true, "passwordHash": "zKVTMvnWVw5BBOZNUdnsalx4c4c7y_w7IS5p6Ut2-CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84-hfTw",
   "salt": "C0sHCg9ek77hsg==", "displayName": "Ada", "photoUrl": "https://x.test/a.png", "createdAt": "1580700306000", "lastSignedInAt": "1612325106000",
   "customAttributes": "{\"roles\":[\"physician\"],\"plan\":7}",
   "providerUserInfo": [{"providerId": "google.com", "rawId": "g1", "email": "ADA@gmail.test"}, {"providerId": "password", "rawId": "ada@example.org"}]},
  {"localId": "fb2", "phoneNumber": "+491701234567", "disabled": true, "createdAt": 1580700306000, "mfaInfo": [{"mfaEnrollmentId": "m"}], "providerUserInfo": []},
  {"localId": 3},
  {"email": "nobody@example.org"},
  "text",
  {"localId": "fb6", "customAttributes": "[]"},
  {"localId": "fb7", "createdAt": "99999999999999"}
]}`

func TestFirebase(t *testing.T) {
	t.Parallel()
	r, err := moving.Firebase(strings.NewReader(firebaseFile), moving.FirebaseHash{SignerKey: signerKey, SaltSeparator: "Bw==", Rounds: 8, MemCost: 14})
	if err != nil {
		t.Fatal(err)
	}
	records, problems, broken := read(t, r)
	same(t, "broken", error(nil), broken)
	same(t, "problems", []string{"7 bad_form", "8 bad_form", "9 bad_form", "10 bad_metadata", "11 bad_time"}, problems)
	same(t, "records", []moving.Record{
		{
			Line: 2, ExternalID: "fb1", Email: "Ada@Example.org", EmailProved: moving.ProvedSometime(), FullName: "Ada", ImageURL: "https://x.test/a.png",
			Hash: "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=" + signerKey + "$C0sHCg9ek77hsg==$zKVTMvnWVw5BBOZNUdnsalx4c4c7y/w7IS5p6Ut2+CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84+hfTw==",
			App:  map[string]json.RawMessage{"plan": json.RawMessage("7")}, Roles: []string{"physician"}, HasProfile: true,
			CreatedAt: time.UnixMilli(1580700306000).UTC(), LastSignInAt: time.UnixMilli(1612325106000).UTC(),
			Identities: []moving.Identity{{Provider: "google", ProviderID: "g1", Data: json.RawMessage(`{"avatar_url":"","email":"ada@gmail.test","full_name":"","sub":"g1"}`)}},
		},
		{
			Line: 6, ExternalID: "fb2", Phone: "+491701234567", PhoneProved: moving.ProvedSometime(), BannedUntil: moving.Forever(),
			CreatedAt: time.UnixMilli(1580700306000).UTC(), Factors: 1, HasProfile: true,
		},
	}, records)
	if err := password.ValidHash(records[0].Hash); err != nil {
		t.Errorf("the hash can't be verified: %v", err)
	}

	r, err = moving.Firebase(strings.NewReader(firebaseFile), moving.FirebaseHash{})
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := r.Next(); err != nil || rec.Hash != "" || rec.HashProblem == "" {
		t.Errorf("without the parameters: %+v, %v", rec, err)
	}
	for _, h := range []moving.FirebaseHash{
		{SignerKey: "!", Rounds: 8, MemCost: 14}, {SignerKey: "QUJD", Rounds: 8, MemCost: 14}, {SignerKey: signerKey, Rounds: 0, MemCost: 14},
		{SignerKey: signerKey, Rounds: 8, MemCost: 25}, {SignerKey: signerKey, SaltSeparator: "?", Rounds: 8, MemCost: 14},
	} {
		if _, err := moving.Firebase(strings.NewReader("{}"), h); err == nil {
			t.Errorf("%+v: accepted", h)
		}
	}
}

func TestAuth0(t *testing.T) {
	t.Parallel()
	users := `{"user_id":"auth0|5dea","email":"ada@example.org","email_verified":true,"name":"Ada","created_at":"2019-12-06T18:36:12.412Z","last_login":"2021-02-03T04:05:06Z","user_metadata":{"a":1},"app_metadata":{"roles":["physician"],"b":2},"identities":[{"connection":"Username-Password-Authentication","provider":"auth0","user_id":"5dea"},{"provider":"google-oauth2","user_id":108,"profileData":{"email":"ada@gmail.test"}}]}

{"user_id":"auth0|euclid","email":"euclid@example.org","blocked":true,"multifactor":["guardian"]}
{"user_id":"sms|7","phone_number":"+491701234567","phone_verified":true,"identities":[{"provider":"sms","user_id":"7"}]}
{"nothing":1}
not json
{"_id":{"$oid":"77"},"passwordHash":"` + bcrypt + `","identifiers":[{"type":"email","value":"ivy@example.org","verified":true}]}
{"user_id":"auth0|x","created_at":"soon"}`
	passwords := `{"_id":{"$oid":"5dea"},"email":"ada@example.org","passwordHash":"` + bcrypt + `"}
{"_id":{"$oid":"99"},"alt_id":"euclid","passwordHash":"` + bcrypt + `"}
`
	r, err := moving.Auth0(strings.NewReader(users), input(passwords))
	if err != nil {
		t.Fatal(err)
	}
	records, problems, broken := read(t, r)
	same(t, "broken", error(nil), broken)
	same(t, "problems", []string{"5 bad_form", "6 bad_form", "8 bad_time"}, problems)
	same(t, "records", []moving.Record{
		{
			Line: 1, ExternalID: "auth0|5dea", Email: "ada@example.org", EmailProved: moving.ProvedSometime(), FullName: "Ada", Hash: bcrypt, HasProfile: true,
			CreatedAt: time.Date(2019, 12, 6, 18, 36, 12, 412e6, time.UTC), LastSignInAt: at(2021),
			User: map[string]json.RawMessage{"a": json.RawMessage("1")}, App: map[string]json.RawMessage{"b": json.RawMessage("2")}, Roles: []string{"physician"},
			Identities: []moving.Identity{{Provider: "google", ProviderID: "108", Data: json.RawMessage(`{"email":"ada@gmail.test"}`)}},
		},
		{Line: 3, ExternalID: "auth0|euclid", Email: "euclid@example.org", BannedUntil: moving.Forever(), Factors: 1, Hash: bcrypt, HasProfile: true},
		{Line: 4, ExternalID: "sms|7", Phone: "+491701234567", PhoneProved: moving.ProvedSometime(), HasProfile: true},
		{Line: 7, ExternalID: "auth0|77", Email: "ivy@example.org", EmailProved: moving.ProvedSometime(), Hash: bcrypt, HasProfile: true},
	}, records)
	array, err := moving.Auth0(strings.NewReader(`  [{"user_id":"a","email":"a@x.org"},{"user_id":"b","email":"b@x.org"}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if records, _, _ := read(t, array); len(records) != 2 {
		t.Errorf("an array: %d records", len(records))
	}
}

func TestKeycloak(t *testing.T) {
	t.Parallel()
	const file = `{"realm":"clinic","clients":[{"users":[]}],"users":[
{"id":"01020304-0506-4075-8000-000000000001","createdTimestamp":1580700306000,"username":"ada","enabled":true,"emailVerified":true,"firstName":"Ada","lastName":"L","email":"ada@example.org",
 "attributes":{"phone_number":["+491701234567"],"locale":["de"]},"realmRoles":["physician","offline_access","default-roles-clinic"],
 "credentials":[{"type":"otp","secretData":"{}","credentialData":"{}"},{"type":"password","secretData":"{\"value\":\"EHLBej+uEvxlmr0QnHnceg1vM6h1wbwSP5XErh3SmizNDWZsIi28RPGARe0EssjGRoiACzxgHjNvqwJY1zxKig==\",\"salt\":\"c2FsdHNhbHRzYWx0c2FsdA==\"}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha512\",\"additionalParameters\":{}}"}],
 "federatedIdentities":[{"identityProvider":"google","userId":"g1","userName":"ada@gmail.test"}]},
{"id":"01020304-0506-4075-8000-000000000002","username":"bob@example.org","enabled":false,
 "credentials":[{"type":"password","secretData":"{\"value\":\"BBs+1+PaslLtBPULUr8/lQicvVuHiEPMz0i8MjLCbzM=\",\"salt\":\"c2FsdHNhbHRzYWx0c2FsdA==\"}","credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\"}"}]},
{"id":"01020304-0506-4075-8000-000000000003","username":"c","email":"c@example.org",
 "credentials":[{"type":"password","secretData":"{\"value\":\"nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4=\",\"salt\":\"c29tZXNhbHQ=\"}","credentialData":"{\"hashIterations\":2,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"256\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}"}]},
{"id":"01020304-0506-4075-8000-000000000004","username":"d","email":"d@example.org","credentials":[{"type":"password","hashedSaltedValue":"EUcKisx+yviAqdTmlEPmy+5ykUU=","salt":"c2FsdHNhbHRzYWx0c2FsdA==","hashIterations":1000,"algorithm":"pbkdf2"}]},
{"id":"01020304-0506-4075-8000-000000000005","username":"e","email":"e@example.org","credentials":[{"type":"password","secretData":"{\"value\":\"QUJD\",\"salt\":\"QUJD\"}","credentialData":"{\"hashIterations\":1,\"algorithm\":\"rot13\"}"}]},
{"id":"01020304-0506-4075-8000-000000000006","username":"service-account-x","serviceAccountClientId":"x"},
{"firstName":"nobody"}
]}`
	records, problems, broken := read(t, moving.Keycloak(strings.NewReader(file)))
	same(t, "broken", error(nil), broken)
	same(t, "problems", []string{"12 not_a_person", "13 bad_form"}, problems)
	if len(records) != 5 {
		t.Fatalf("%d records", len(records))
	}
	first := records[0]
	first.Hash = ""
	same(t, "the first", moving.Record{
		Line: 2, ExternalID: "01020304-0506-4075-8000-000000000001", ID: "01020304-0506-4075-8000-000000000001", Email: "ada@example.org",
		EmailProved: moving.ProvedSometime(), Phone: "+491701234567", FullName: "Ada L", Language: "de", Roles: []string{"physician"}, Factors: 1,
		CreatedAt: time.UnixMilli(1580700306000).UTC(), HasProfile: true,
		Identities: []moving.Identity{{Provider: "google", ProviderID: "g1", Data: json.RawMessage(`{"preferred_username":"ada@gmail.test","sub":"g1"}`)}},
	}, first)
	same(t, "an address as user name, off", []any{"bob@example.org", moving.Forever()}, []any{records[1].Email, records[1].BannedUntil})
	same(t, "an algorithm that nobody knows", "", records[4].Hash)
	if records[4].HashProblem == "" {
		t.Error("no reason")
	}
	// The hashes are those of other programs, for these passwords.
	h, err := password.New(password.Config{Memory: 64, Time: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"correct horse", "correct horse", "password", "correct horse"} {
		if ok, rehash, err := h.Verify(t.Context(), records[i].Hash, text); !ok || !rehash || err != nil {
			t.Errorf("%d: %q: %v, %v, %v", i, records[i].Hash, ok, rehash, err)
		}
	}
}

func gotrueRow() string {
	return `{"id":"01020304-0506-4075-8000-000000000001","aud":"authenticated","role":"authenticated","email":"ada@example.org","encrypted_password":"` + bcrypt + `",` +
		`"email_confirmed_at":"2021-02-03T04:05:06+00:00","phone":"491701234567","created_at":"2020-02-03T04:05:06.000000+00:00","banned_until":null,"is_sso_user":false,"factors":2,` +
		`"raw_app_meta_data":{"provider":"email","roles":["physician"]},"raw_user_meta_data":{"n":12345678901234567890},` +
		`"identities":[{"id":"0a020304-0506-4075-8000-000000000001","provider":"email","provider_id":"p1","identity_data":{"sub":"p1"},"last_sign_in_at":"2021-02-03T04:05:06+00:00"}]}`
}

func TestSupabase(t *testing.T) {
	t.Parallel()
	want := moving.Record{
		Line: 1, ExternalID: "01020304-0506-4075-8000-000000000001", ID: "01020304-0506-4075-8000-000000000001", Aud: "authenticated", Role: "authenticated",
		Email: "ada@example.org", Phone: "+491701234567", Hash: bcrypt, EmailProved: at(2021), CreatedAt: at(2020), KeepMetadata: true, Factors: 2,
		App:        map[string]json.RawMessage{"provider": json.RawMessage(`"email"`), "roles": json.RawMessage(`["physician"]`)},
		User:       map[string]json.RawMessage{"n": json.RawMessage("12345678901234567890")},
		Identities: []moving.Identity{{Provider: "email", ProviderID: "p1", Data: json.RawMessage(`{"sub":"p1"}`), LastSignInAt: at(2021)}},
	}
	const (
		csvUsers = "id,aud,role,email,encrypted_password,email_confirmed_at,phone,created_at,raw_app_meta_data,raw_user_meta_data,factors\n" +
			"01020304-0506-4075-8000-000000000001,authenticated,authenticated,ada@example.org," + bcrypt + ",2021-02-03 04:05:06+00,491701234567,2020-02-03 04:05:06+00," +
			`"{""provider"":""email"",""roles"":[""physician""]}","{""n"":12345678901234567890}",2` + "\n"
		csvIdentities = "id,user_id,provider,provider_id,identity_data,last_sign_in_at\n" +
			"x,another,email,p9,{},\n" +
			"y,01020304-0506-4075-8000-000000000001,email,p1,\"{\"\"sub\"\":\"\"p1\"\"}\",2021-02-03 04:05:06+00\n"
		dump = "-- a dump\nCOPY auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at) FROM stdin;\n" +
			"p1\t01020304-0506-4075-8000-000000000001\t{\"sub\":\"p1\"}\temail\t2021-02-03 04:05:06+00\n\\.\n\nCOPY public.users (id) FROM stdin;\n1\n\\.\n" +
			"COPY auth.users (id, aud, role, email, encrypted_password, email_confirmed_at, phone, created_at, raw_app_meta_data, raw_user_meta_data, factors, deleted_at) FROM stdin;\n" +
			"01020304-0506-4075-8000-000000000001\tauthenticated\tauthenticated\tada@example.org\t" + bcrypt + "\t2021-02-03 04:05:06+00\t491701234567\t2020-02-03 04:05:06+00\t" +
			"{\"provider\":\"email\",\"roles\":[\"physician\"]}\t{\"n\":12345678901234567890}\t2\t\\N\nwrong\n\\.\n"
	)
	for _, tc := range []struct {
		name, form        string
		users, identities string
		line              int64
		problems          []string
	}{
		{"rows with identities", moving.FormNDJSON, gotrueRow() + "\n{\"id\":\"x\",\"deleted_at\":\"2021-02-03T04:05:06Z\"}\n{}\n[]\n", "", 1, []string{"2 deleted", "3 bad_form", "4 bad_form"}},
		{"an array", moving.FormNDJSON, "[" + gotrueRow() + "]", "", 1, nil},
		{"CSV", moving.FormCSV, csvUsers, csvIdentities, 2, nil},
		{"a dump", moving.FormDump, dump, dump, 10, []string{"11 bad_form"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var second moving.Input
			if tc.identities != "" {
				second = input(tc.identities)
			}
			r, err := moving.Supabase(input(tc.users), second, tc.form)
			if err != nil {
				t.Fatal(err)
			}
			records, problems, broken := read(t, r)
			same(t, "broken", error(nil), broken)
			same(t, "problems", tc.problems, problems)
			want := want
			want.Line = tc.line
			same(t, "records", []moving.Record{want}, records)
		})
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	const file = "\ufeffExternal_ID,E-Mail,Email_Verified,Phone,password,Name,roles,tenant,tenant_role,active,created_at,user_metadata,notes\n" +
		"7,ada@example.org,true,+49 170 1234567," + bcrypt + ",\"L, Ada\",nurse physician,north,nurse,no,2020-02-03T04:05:06Z,\"{\"\"a\"\":1}\",x\n" +
		",bob@example.org,2021-02-03 04:05:06,,,,,,,,,,\n" +
		"8,too,few\n" +
		"9,x@example.org,perhaps,,,,,,,,,,\n" +
		"10,x@example.org,,,,,,,nurse,,,,\n" +
		"11,x@example.org,,,,,,,,maybe,,,\n" +
		"12,x@example.org,,,,,,,,,never,,\n" +
		"13,x@example.org,,,,,,,,,,[],\n" +
		",no address,,,,,,,,,,,\n" +
		"14,a\"b,,,,,,,,,,,\n"
	r, err := moving.CSV(strings.NewReader(file), "notes")
	if err != nil {
		t.Fatal(err)
	}
	records, problems, broken := read(t, r)
	same(t, "broken", error(nil), broken)
	same(t, "problems", []string{"4 bad_form", "5 bad_time", "6 unknown_tenant", "7 bad_form", "8 bad_time", "9 bad_metadata", "10 bad_email", "11 bad_form"}, problems)
	same(t, "records", []moving.Record{
		{
			Line: 2, ExternalID: "7", Email: "ada@example.org", EmailProved: moving.ProvedSometime(), Phone: "+49 170 1234567", Hash: bcrypt, FullName: "L, Ada",
			Roles: []string{"nurse", "physician"}, Members: []moving.Member{{Slug: "north", Role: "nurse"}}, Inactive: true, CreatedAt: at(2020),
			User: map[string]json.RawMessage{"a": json.RawMessage("1")}, HasProfile: true,
		},
		{Line: 3, ExternalID: "sha256:686b5e4cf4f963adf8f51468a48028ef8d15bd02fa335f821279a3d1678c9615", Email: "bob@example.org", EmailProved: at(2021)},
	}, records)
	for name, file := range map[string]string{
		"empty": "", "an unknown column": "email,e_mial\n", "a column twice": "email,email\n", "two names of one": "email,e-mail\n",
	} {
		if _, err := moving.CSV(strings.NewReader(file)); !errors.Is(err, moving.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// S1.21, A4.5: the ciphertext is dropped as it is read; patients stay what they are.
func TestGroups(t *testing.T) {
	t.Parallel()
	const file = "doctor_email,vendor_id,password,roles,permission,is_active,employee_id,settings,admin_settings\n" +
		"Doc@Example.org,17,\\xc30d04090302deadbeef,\"{physician,admin}\",superuser,t,4711,\"{\"\"a\"\":1}\",\"{\"\"b\"\":2}\"\n" +
		"off@example.org,17,\\xc30d0409,{},user,f,,,\n" +
		",17,,,,,,,\n" +
		"nonsense,17,,,,,,,\n" +
		"bad@example.org,17,,,,t,,{,\n"
	r, err := moving.Groups(input(file), moving.GroupsConfig{Form: moving.FormCSV, Superuser: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	records, problems, broken := read(t, r)
	same(t, "broken", error(nil), broken)
	same(t, "problems", []string{"4 anonymous", "5 bad_email", "6 bad_metadata"}, problems)
	for i := range records {
		if !strings.HasPrefix(records[i].ExternalID, "sha256:") {
			t.Errorf("external id %q", records[i].ExternalID)
		}
		records[i].ExternalID = ""
	}
	same(t, "records", []moving.Record{
		{
			Line: 2, Email: "doc@example.org", EmailProved: moving.ProvedSometime(), Roles: []string{"physician", "admin"}, HasProfile: true, Invite: true,
			Extensions: map[string]json.RawMessage{"physician": json.RawMessage(`{"employee_id":4711,"vendor_id":"17","settings":{"a":1},"admin_settings":{"b":2}}`)},
			Members:    []moving.Member{{External: "17", Role: "physician", State: "active"}},
		},
		{
			Line: 3, Email: "off@example.org", EmailProved: moving.ProvedSometime(), Roles: []string{"physician"}, HasProfile: true, Inactive: true,
			Extensions: map[string]json.RawMessage{"physician": json.RawMessage(`{"vendor_id":"17"}`)},
			Members:    []moving.Member{{External: "17", Role: "physician", State: "suspended"}},
		},
	}, records)
	if text := fmt.Sprintf("%+v", records); strings.Contains(text, "c30d04") {
		t.Error("the ciphertext is still there")
	}
	rec, err := moving.GroupsRow(moving.GroupsConfig{})([]byte(`{"doctor_email":"a@x.org","roles":["nurse"],"is_active":true,"settings":{"n":1},"password":"c30d04"}`), 1)
	if err != nil || len(rec.Roles) != 2 || string(rec.Extensions["physician"]) != `{"settings":{"n":1}}` {
		t.Errorf("a row of a database: %+v, %v", rec, err)
	}
}

// TestBroken: what can't be read on is an error, what can is a problem of one record.
func TestBroken(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	firebase := func(text string) moving.Reader {
		r, err := moving.Firebase(strings.NewReader(text), moving.FirebaseHash{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	csvOf := func(text string) moving.Reader {
		r, err := moving.CSV(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	supabase := func(text, form string) moving.Reader {
		r, err := moving.Supabase(input(text), nil, form)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, tc := range []struct {
		name     string
		r        moving.Reader
		records  int
		problems []string
		broken   bool
	}{
		{"an empty file", firebase(""), 0, nil, true},
		{"no JSON", firebase("users"), 0, nil, true},
		{"no users", firebase(`{"user":[]}`), 0, nil, true},
		{"users are no list", firebase(`{"users":{}}`), 0, nil, true},
		{"no end", firebase(`{"users":[{"localId":"a"},`), 1, nil, true},
		{"no end of a text", firebase(`{"users":[{"localId":"a`), 0, nil, true},
		{"no comma", firebase(`{"users":[{"localId":"a"}{"localId":"b"}]}`), 1, nil, true},
		{"two commas", firebase(`{"users":[{"localId":"a"},,{"localId":"b"}]}`), 1, nil, true},
		{"too deep", firebase(`{"users":[` + strings.Repeat("[", 2000)), 0, nil, true},
		{"a record that is too long", firebase(`{"users":[{"localId":"` + long + `"},{"localId":"b"}]}`), 1, []string{"1 too_long"}, false},
		{"words and numbers", firebase(`{"users":[nul,12e,{"localId":"b"}]}`), 1, []string{"1 bad_form", "1 bad_form"}, false},
		{"a byte order mark", firebase("\ufeff{\"users\":[{\"localId\":\"a\"}]}"), 1, nil, false},
		{"a line that is too long", moving.Cardea(strings.NewReader("{\"id\":\"a\"}\n{\"id\":\"" + long + long + "\"}\n{\"id\":\"b\"}")), 2, []string{"2 too_long"}, false},
		{"a quote that is not closed", csvOf("email\n\"" + strings.Repeat("x\n", 3<<20)), 0, nil, true},
		{"a NUL", moving.Cardea(strings.NewReader("{\"id\":\"a\\u0000\"}\n{\"id\":\"b\"}")), 1, []string{"1 bad_form"}, false},
		{"a dump without users", supabase("-- nothing\n", moving.FormDump), 0, nil, true},
		{"a dump that ends", supabase("COPY auth.users (id) FROM stdin;\na\n", moving.FormDump), 1, nil, true},
		{"a dump in INSERTs", supabase("INSERT INTO auth.users VALUES ('a');\n", moving.FormDump), 0, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			records, problems, broken := read(t, tc.r)
			same(t, "problems", tc.problems, problems)
			if len(records) != tc.records || (broken != nil) != tc.broken || broken != nil && !errors.Is(broken, moving.ErrBroken) {
				t.Errorf("%d records, broken %v", len(records), broken)
			}
			if broken != nil && len(broken.Error()) > 300 {
				t.Errorf("a long message: %d bytes", len(broken.Error()))
			}
		})
	}
	if _, err := moving.Supabase(input(gotrueRow()), input("{\"user_id\":\"a\"}\nbroken\n"), moving.FormNDJSON); err == nil {
		t.Error("a broken second file was accepted")
	}
}
