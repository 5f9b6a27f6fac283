// Package seal is what keeps masters and minions apart from everyone else: RSA key
// pairs, the traffic keys that Salt calls Crypticle, and the signed messages that
// hand those keys over. It does no I/O.
//
// Start with PrivateKey and PublicKey (rsa.go) and Key (crypticle.go). SignReply,
// Accept and AuthCheck (authreply.go) are the two sides of authentication, the pillar
// and publish files the two sides of those messages.
package seal
