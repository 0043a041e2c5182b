package usersync

import "context"

// Deactivate shuts a user out until [Syncer.Reactivate]; the issuer can't undo it.
// [ErrNoUser], [ErrFinal].
func (s *Syncer) Deactivate(ctx context.Context, userID string) (User, error) {
	return s.edit(ctx, Edit{ID: userID, Status: StatusDeactivated})
}

// Reactivate lets a user in again whom the service has shut out.
func (s *Syncer) Reactivate(ctx context.Context, userID string) (User, error) {
	return s.edit(ctx, Edit{ID: userID, Status: StatusActive})
}

// Supersede closes a duplicate: its addresses are free, and its owner is led to the row that
// has them next (S2.30).
func (s *Syncer) Supersede(ctx context.Context, userID string) (User, error) {
	return s.edit(ctx, Edit{ID: userID, Status: StatusSuperseded})
}

// Delete removes everything personal and leaves a tombstone, so that a token which is still
// good does not make the user anew. Deleting again changes nothing.
func (s *Syncer) Delete(ctx context.Context, userID string) (User, error) {
	return s.edit(ctx, Edit{ID: userID, Status: StatusDeleted})
}

// UpdateProfile replaces the fields that set has.
func (s *Syncer) UpdateProfile(ctx context.Context, userID string, set Profile) (User, error) {
	return s.edit(ctx, Edit{ID: userID, Profile: set})
}

func (s *Syncer) edit(ctx context.Context, e Edit) (User, error) {
	e.At, e.Consumers = s.now(), s.consumers
	var err error
	if e.EventID, err = s.newID(e.At); err != nil {
		return User{}, err
	}
	u, err := s.c.Store.Edit(ctx, e)
	if err != nil {
		return User{}, err
	}
	s.changed(u)
	return u, nil
}

// changed drops what is known of a row, under a subject that it had before too, and lets
// the consumers hear of it.
func (s *Syncer) changed(u User) {
	s.cache.forgetRow(u)
	for _, one := range s.wake {
		select {
		case one <- struct{}{}:
		default: // it is awake
		}
	}
}

// Forget drops a user's row from the cache: for when something else changed it.
func (s *Syncer) Forget(issuer, subject string) { s.cache.forget(userKey{issuer, subject}) }
