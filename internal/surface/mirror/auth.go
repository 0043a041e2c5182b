package mirror

import "github.com/cardea-auth/cardea/internal/web"

// clientIDs is the answer of GET /auth/config.
type clientIDs struct {
	Web     *string `json:"google_web_client_id"`
	IOS     *string `json:"google_ios_client_id"`
	Android *string `json:"google_android_client_id"`
}

// config is GET /auth/config.
func (s *surface) config(*call) (any, error) {
	return clientIDs{orNull(s.c.GoogleWebClientID), orNull(s.c.GoogleIOSClientID), orNull(s.c.GoogleAndroidClientID)}, nil
}

// identifierStatus is POST /auth/identifier-status.
func (s *surface) identifierStatus(c *call) (any, error) {
	f, err := fields(c.r)
	if err != nil {
		return nil, err
	}
	identifier := f.String("identifier")
	if err := f.Err(); err != nil {
		return nil, err
	}
	status, err := s.c.Accounts.IdentifierStatus(c.r.Context(), identifier, web.Meta(c.r))
	if err != nil {
		return nil, err
	}
	return struct {
		Exists      bool   `json:"exists"`
		Verified    bool   `json:"verified"`
		HasPassword bool   `json:"has_password"`
		Channel     string `json:"channel"`
		NextStep    string `json:"next_step"`
	}{status.Exists, status.Verified, status.HasPassword, status.Channel, status.NextStep}, nil
}

// lastMethod is POST /auth/last-method.
func (s *surface) lastMethod(c *call) (any, error) {
	f, err := fields(c.r)
	if err != nil {
		return nil, err
	}
	method := f.String("method")
	if err := f.Err(); err != nil {
		return nil, err
	}
	return nil, s.c.People.SetLastMethod(c.r.Context(), c.caller, method)
}

// linkIdentity is POST /auth/link-identity.
func (s *surface) linkIdentity(c *call) (any, error) {
	f, err := fields(c.r)
	if err != nil {
		return nil, err
	}
	provider, token := f.String("provider"), f.String("id_token")
	if err := f.Err(); err != nil {
		return nil, err
	}
	if err := s.c.People.LinkIdentity(c.r.Context(), c.caller, provider, token); err != nil {
		return nil, err
	}
	return struct {
		Linked bool `json:"linked"`
	}{true}, nil
}
