package wire

import "strings"

// Commands of Salt's file server. Paths are relative to an environment, with slashes.
const (
	CmdServeFile       = "_serve_file"          // {path, saltenv, loc, gzip?}: {data, dest, gzip?}
	CmdFileHash        = "_file_hash"           // {path, saltenv}: {hash_type, hsum}; "" where there is none
	CmdFileHashAndStat = "_file_hash_and_stat"  // likewise: [hash, stat]
	CmdFileFind        = "_file_find"           // {path, saltenv}: {path, rel, back, stat}
	CmdFileList        = "_file_list"           // {saltenv, prefix}: paths
	CmdFileEmptyDirs   = "_file_list_emptydirs" // likewise
	CmdDirList         = "_dir_list"            // likewise
	CmdSymlinkList     = "_symlink_list"        // likewise: {link: target}
	CmdFileEnvs        = "_file_envs"           // {}: environments
	CmdFileRecv        = "_file_recv"           // {path: [part, ...], loc, data, size}: bool
	CmdMasterOpts      = "_master_opts"         // {env_only?}: options that states depend on
	CmdMasterTops      = "_master_tops"         // {opts}: {environment: [sls, ...]}
)

// Commands that gosalt peers add for files, so that many of them cost few round trips and
// large ones keep the line busy.
const (
	// CmdFileTree asks for what there is in an environment: a FileTree. The reply is a
	// FileTreeReply.
	CmdFileTree = "_gosalt_file_tree"
	// CmdFileRead asks for pieces of files: a FileRead. The reply is sealed in bulk (package
	// seal): a FileReadReply and behind it the pieces, one after another.
	CmdFileRead = "_gosalt_file_read"
)

const (
	// MaxFileRead is how many bytes one reply to CmdFileRead holds at most.
	MaxFileRead = 4 << 20
	// MaxFileReads is how many pieces one request may ask for.
	MaxFileReads = 2048
	// MaxTreePage is how many files one reply to CmdFileTree lists.
	MaxTreePage = 10000
)

// FileTree is the load of CmdFileTree.
type FileTree struct {
	Env    string
	Prefix string
	Hashes bool   // Tell the hash of each file.
	After  string // List only what is behind this path: the last of the page before.
}

// FileTreeFromMap checks the load of CmdFileTree.
func FileTreeFromMap(m *Map) (*FileTree, error) {
	f := fields{m: m, what: CmdFileTree}
	r := &FileTree{Env: f.text("saltenv"), Prefix: string(f.bytes("prefix")), Hashes: f.bool("hashes"), After: string(f.bytes("after"))}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the load.
func (r *FileTree) ToMap() *Map {
	return NewMap("cmd", CmdFileTree, "saltenv", r.Env, "prefix", r.Prefix, "hashes", r.Hashes, "after", r.After)
}

// FileEntry describes one file of a FileTreeReply.
type FileEntry struct {
	Path string
	Size int64
	Mode int64  // permissions; 0 where they are not known
	Hash string // hex digits; "" where it was not asked for, or would take long: ask for it alone
}

// FileTreeReply is the answer to CmdFileTree.
type FileTreeReply struct {
	HashType  string
	Files     []FileEntry
	EmptyDirs []string // with the first page
	More      bool     // there is another page
}

// FileTreeReplyFromMap checks the answer.
func FileTreeReplyFromMap(m *Map) (*FileTreeReply, error) {
	f := fields{m: m, what: "reply to " + CmdFileTree}
	r := &FileTreeReply{HashType: f.text("hash_type"), EmptyDirs: f.paths("empty_dirs"), More: f.bool("more")}
	for i, v := range f.list("files") {
		e, ok := v.([]any)
		if !ok || len(e) != 4 {
			f.fail("files", "item %d is %s: a list of path, size, mode and hash expected", i, TypeName(v))
			break
		}
		path, ok1 := textOf(e[0])
		size, ok2 := e[1].(int64)
		mode, ok3 := e[2].(int64)
		hash, ok4 := e[3].(string)
		if !ok1 || !ok2 || !ok3 || !ok4 || size < 0 {
			f.fail("files", "item %d: path, size, mode and hash expected", i)
			break
		}
		r.Files = append(r.Files, FileEntry{path, size, mode, hash})
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// paths reads a list of names of files.
func (f *fields) paths(name string) []string {
	var out []string
	for i, v := range f.list(name) {
		s, ok := textOf(v)
		if !ok {
			f.fail(name, "item %d is %s: a path expected", i, TypeName(v))
			return nil
		}
		out = append(out, s)
	}
	return out
}

// textOf takes bytes for text: names of files need not be UTF-8.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

// ToMap is the answer.
func (r *FileTreeReply) ToMap() *Map {
	files := make([]any, len(r.Files))
	for i, e := range r.Files {
		files[i] = []any{e.Path, e.Size, e.Mode, e.Hash}
	}
	dirs := make([]any, len(r.EmptyDirs))
	for i, d := range r.EmptyDirs {
		dirs[i] = d
	}
	return NewMap("hash_type", r.HashType, "files", files, "empty_dirs", dirs, "more", r.More)
}

// FilePiece is a part of a file that is asked for.
type FilePiece struct {
	Path   string
	Offset int64
	Length int64
}

// FileRead is the load of CmdFileRead. The answer may hold less of each piece than was
// asked for, and of the last ones nothing, since its size is bounded.
type FileRead struct {
	Env    string
	Pieces []FilePiece
}

// FileReadFromMap checks the load of CmdFileRead.
func FileReadFromMap(m *Map) (*FileRead, error) {
	f := fields{m: m, what: CmdFileRead}
	r := &FileRead{Env: f.text("saltenv")}
	list := f.list("pieces")
	if len(list) > MaxFileReads {
		f.fail("pieces", "%d pieces: at most %d are allowed", len(list), MaxFileReads)
		list = nil
	}
	for i, v := range list {
		p, ok := v.([]any)
		if !ok || len(p) != 3 {
			f.fail("pieces", "item %d is %s: a list of path, offset and length expected", i, TypeName(v))
			break
		}
		path, ok1 := textOf(p[0])
		off, ok2 := p[1].(int64)
		n, ok3 := p[2].(int64)
		if !ok1 || !ok2 || !ok3 || off < 0 || n < 0 {
			f.fail("pieces", "item %d: path, offset and length expected", i)
			break
		}
		r.Pieces = append(r.Pieces, FilePiece{path, off, min(n, MaxFileRead)})
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the load.
func (r *FileRead) ToMap() *Map {
	list := make([]any, len(r.Pieces))
	for i, p := range r.Pieces {
		list[i] = []any{p.Path, p.Offset, p.Length}
	}
	return NewMap("cmd", CmdFileRead, "saltenv", r.Env, "pieces", list)
}

// FreshState ends the State of a file that was changed a moment ago: it may change once
// more without a new time of change, so who reads it in pieces has to check its hash.
const FreshState = "~"

// FileReadPart says what of a piece is in a FileReadReply.
type FileReadPart struct {
	Length int64  // bytes of it that follow
	Size   int64  // of the file, when this was read; -1: there is no such file
	State  string // changes when the file does, but see FreshState
}

// FileReadReply is the head of the answer to CmdFileRead: of as many of the first pieces
// as had room.
type FileReadReply struct {
	HashType string // of the master's hashes: what to hash with on the way
	Parts    []FileReadPart
}

// FileReadReplyFromMap checks the answer.
func FileReadReplyFromMap(m *Map) (*FileReadReply, error) {
	f := fields{m: m, what: "reply to " + CmdFileRead}
	r := &FileReadReply{HashType: f.text("hash_type")}
	for i, v := range f.list("parts") {
		p, ok := v.([]any)
		if !ok || len(p) != 3 {
			f.fail("parts", "item %d is %s: a list of length, size and state expected", i, TypeName(v))
			break
		}
		n, ok1 := p[0].(int64)
		size, ok2 := p[1].(int64)
		state, ok3 := p[2].(string)
		if !ok1 || !ok2 || !ok3 || n < 0 || size < -1 {
			f.fail("parts", "item %d: length, size and state expected", i)
			break
		}
		r.Parts = append(r.Parts, FileReadPart{n, size, state})
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the answer.
func (r *FileReadReply) ToMap() *Map {
	list := make([]any, len(r.Parts))
	for i, p := range r.Parts {
		list[i] = []any{p.Length, p.Size, p.State}
	}
	return NewMap("hash_type", r.HashType, "parts", list)
}

// FileRecv is the load of CmdFileRecv: a piece of a file that a minion pushes.
type FileRecv struct {
	Path []string // its parts, below the directory of the minion's files
	Loc  int64
	Data []byte
	Size int64
}

// FileRecvFromMap checks the load of CmdFileRecv. The path has no part that leads out of
// the directory, or that would be taken for several.
func FileRecvFromMap(m *Map) (*FileRecv, error) {
	f := fields{m: m, what: CmdFileRecv}
	r := &FileRecv{Path: f.paths("path"), Loc: f.wantInt("loc"), Data: f.bytes("data"), Size: f.int("size")}
	if len(r.Path) == 0 {
		f.fail("path", "is empty: a list of the path's parts expected")
	}
	for _, part := range r.Path {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "/\\\x00") {
			f.fail("path", "has the part %.60q: names without slashes expected", part)
			break
		}
	}
	if r.Loc < 0 {
		f.fail("loc", "%d: a place in the file expected", r.Loc)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// ToMap is the load.
func (r *FileRecv) ToMap() *Map {
	parts := make([]any, len(r.Path))
	for i, p := range r.Path {
		parts[i] = p
	}
	return NewMap("cmd", CmdFileRecv, "path", parts, "loc", r.Loc, "data", r.Data, "size", r.Size)
}
