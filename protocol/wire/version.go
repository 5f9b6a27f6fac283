package wire

// Version says what a gosalt peer understands beyond Salt's protocol 3. It travels as
// the field "gosalt" of the authentication request and of the signed accept reply, both
// of which Salt ignores; a peer that does not send it is Salt itself.
//
//	1, 2026-11-22: commands _gosalt_ack, _gosalt_missed, _gosalt_alive, _gosalt_shared_key.
//	2, 2026-11-27: command _gosalt_take, field gosalt_spare of a publish.
const Version = 2

// VersionTake is the first version whose minions ask before they run a job that says so.
const VersionTake = 2

// SaltVersion is the only version of Salt's protocol that is spoken: session keys,
// signed replies, nonces.
const SaltVersion = 3

// nonceLen is the length of a nonce: 32 lower-case hex digits.
const nonceLen = 32
