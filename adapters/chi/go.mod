module github.com/cardea-auth/cardea/adapters/chi

go 1.26.0

require github.com/cardea-auth/cardea v0.0.0-00010101000000-000000000000

require (
	github.com/go-chi/chi/v5 v5.5.0
	github.com/golang-jwt/jwt/v5 v5.3.1
)

replace github.com/cardea-auth/cardea => ../..
