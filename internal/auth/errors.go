package auth

import "errors"

// ErrNoPrincipal means that a request has no valid credential.
var ErrNoPrincipal = errors.New("no valid token")

// ErrUnavailable means that a token cannot be checked now, because the keys of
// the issuer cannot be fetched. The client should try again later.
var ErrUnavailable = errors.New("the keys of the token issuer are not available")

// TokenError means that an access token is not accepted. It matches
// ErrNoPrincipal.
type TokenError struct{ Reason string }

func (e *TokenError) Error() string { return e.Reason }

// Is reports whether target is ErrNoPrincipal.
func (e *TokenError) Is(target error) bool { return target == ErrNoPrincipal }

// ScopeError means that an access token is valid and lacks a scope that every
// request needs.
type ScopeError struct{ Scope string }

func (e *ScopeError) Error() string { return "the token lacks the scope " + e.Scope }

// ForbiddenError means that an access token is valid and that its bearer may
// not use the server.
type ForbiddenError struct{ Reason string }

func (e *ForbiddenError) Error() string { return e.Reason }

// SignInError means that an issuer did not sign a user in, or that a browser came back
// with an answer that is not the issuer's.
type SignInError struct{ Reason string }

func (e *SignInError) Error() string { return e.Reason }
