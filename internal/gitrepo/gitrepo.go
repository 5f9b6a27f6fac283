// Package gitrepo keeps bare copies of git repositories for who reads files out of them:
// gitfs, and the ext_pillar git. A copy is fetched as a whole; files are read by their
// hashes, so nothing is ever checked out. A remote that is down leaves what was fetched
// last, and the error says of when that is.
//
// Start with New, then Repo.Fetch and Repo.Tree.
package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// Options say where a repository is and how it is signed in to.
type Options struct {
	URL  string
	Dir  string // of the bare copy
	User string // with Password for https
	// Password may go over http only with InsecureAuth.
	Password     string
	InsecureAuth bool
	PrivKey      string // file of the key for ssh, with its Passphrase
	Passphrase   string
	SkipVerify   bool // takes any certificate (ssl_verify: False)
}

// Repo is a copy of a repository. Its methods may be called concurrently; Lock is held
// around those that say so, and reading the repository.
type Repo struct {
	o        Options
	auth     transport.AuthMethod
	fetching sync.Mutex // one fetch at a time

	sync.Mutex // guards what follows
	Git        *git.Repository
	Refs       map[string]plumbing.Hash // "branch/main", "tag/v1" to commits
	fetched    time.Time                // the last fetch that went well
}

// New makes a Repo. Nothing is fetched yet. The errors are those of the settings.
func New(o Options) (*Repo, error) {
	auth, err := signIn(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Redact(o.URL), err)
	}
	return &Repo{o: o, auth: auth, Refs: map[string]plumbing.Hash{}}, nil
}

// signIn is how a remote is signed in to.
func signIn(o Options) (transport.AuthMethod, error) {
	switch {
	case o.PrivKey != "":
		name := "git"
		if u, err := url.Parse(o.URL); err == nil && u.User != nil {
			name = u.User.Username()
		} else if before, _, ok := strings.Cut(o.URL, "@"); ok && !strings.Contains(before, "/") {
			name = before
		}
		keys, err := ssh.NewPublicKeysFromFile(name, o.PrivKey, o.Passphrase)
		if err != nil {
			return nil, fmt.Errorf("privkey %s: %w", o.PrivKey, err)
		}
		return keys, nil
	case o.User != "":
		if strings.HasPrefix(o.URL, "http://") && !o.InsecureAuth {
			return nil, errors.New("a password would go over http in the clear: use https, or set insecure_auth: True")
		}
		return &http.BasicAuth{Username: o.User, Password: o.Password}, nil
	}
	return nil, nil
}

// Redact takes the password out of an address.
func Redact(s string) string {
	if u, err := url.Parse(s); err == nil && u.User != nil {
		return u.Redacted()
	}
	return s
}

// fetchTime bounds one fetch.
const fetchTime = 10 * time.Minute

// stampFile tells when the last fetch went well.
const stampFile = "gosalt_fetched"

// Fetched is when the last fetch went well in this process; zero for never.
func (r *Repo) Fetched() time.Time {
	r.Lock()
	defer r.Unlock()
	return r.fetched
}

// Fetch brings the copy up to date. What is on the disk can be read whatever becomes of
// it; the error says of when that is.
func (r *Repo) Fetch(ctx context.Context) (changed bool, err error) {
	r.fetching.Lock()
	defer r.fetching.Unlock()
	name := Redact(r.o.URL)
	repo, err := r.open()
	if err != nil {
		return false, fmt.Errorf("repository of %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	err = repo.FetchContext(ctx, &git.FetchOptions{RemoteName: "origin", Auth: r.auth, InsecureSkipTLS: r.o.SkipVerify, Force: true, Prune: true, Tags: git.NoTags,
		RefSpecs: []config.RefSpec{"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}})
	failed := err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) && !errors.Is(err, transport.ErrEmptyRemoteRepository)
	refs, rerr := readRefs(repo)
	if rerr != nil {
		return false, fmt.Errorf("refs of %s: %w", name, rerr)
	}
	r.Lock()
	defer r.Unlock()
	changed = len(refs) != len(r.Refs)
	for k, h := range refs {
		changed = changed || r.Refs[k] != h
	}
	r.Git, r.Refs = repo, refs
	stamp := filepath.Join(r.o.Dir, stampFile)
	if failed {
		since := "nothing was ever fetched from it"
		if fi, serr := os.Stat(stamp); serr == nil {
			since = "files as of " + fi.ModTime().UTC().Format(time.RFC3339) + " are served on"
		}
		return changed, fmt.Errorf("fetch %s: %w; %s", name, err, since)
	}
	r.fetched = time.Now()
	if err := os.WriteFile(stamp, []byte(r.fetched.UTC().Format(time.RFC3339)+"\n"), 0o600); err != nil {
		return changed, err
	}
	return changed, nil
}

// open opens the bare copy, or makes it.
func (r *Repo) open() (*git.Repository, error) {
	if err := os.MkdirAll(r.o.Dir, 0o700); err != nil {
		return nil, err
	}
	repo, err := git.PlainOpen(r.o.Dir)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		if repo, err = git.PlainInit(r.o.Dir, true); err != nil {
			return nil, err
		}
		_, err = repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{r.o.URL}})
	}
	return repo, err
}

// readRefs are the branches and tags of a repository, and their commits.
func readRefs(repo *git.Repository) (map[string]plumbing.Hash, error) {
	refs := map[string]plumbing.Hash{}
	iter, err := repo.References()
	if err != nil {
		return nil, err
	}
	err = iter.ForEach(func(ref *plumbing.Reference) error {
		if ref.Type() != plumbing.HashReference {
			return nil
		}
		name := ref.Name().String()
		if branch, ok := strings.CutPrefix(name, "refs/remotes/origin/"); ok && branch != "HEAD" {
			refs["branch/"+branch] = ref.Hash()
		} else if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			h := ref.Hash()
			if obj, err := repo.TagObject(h); err == nil {
				c, err := obj.Commit()
				if err != nil {
					return nil // a tag of something else than a commit
				}
				h = c.Hash
			}
			refs["tag/"+tag] = h
		}
		return nil
	})
	return refs, err
}

// Reset forgets what was fetched, as its directory is gone.
func (r *Repo) Reset() {
	r.Lock()
	defer r.Unlock()
	r.Git, r.Refs = nil, map[string]plumbing.Hash{}
}

// Commit is the commit of a branch, a tag or a hash; kinds says which of "branch", "tag"
// and "sha" may be meant, and which first. Lock is held.
func (r *Repo) Commit(ref string, kinds []string) (plumbing.Hash, bool) {
	for _, kind := range kinds {
		if h, ok := r.Refs[kind+"/"+ref]; ok {
			return h, true
		}
		if kind == "sha" && plumbing.IsHash(ref) && r.Git != nil {
			h := plumbing.NewHash(ref)
			if _, err := r.Git.CommitObject(h); err == nil {
				return h, true
			}
		}
	}
	return plumbing.ZeroHash, false
}

// Tree is the tree of a commit below a directory; nil where there is no such directory.
// Lock is held.
func (r *Repo) Tree(h plumbing.Hash, root string) (*object.Tree, error) {
	name := Redact(r.o.URL)
	c, err := r.Git.CommitObject(h)
	if err != nil {
		return nil, fmt.Errorf("commit %s of %s: %w", h, name, err)
	}
	t, err := c.Tree()
	if err != nil {
		return nil, fmt.Errorf("tree of %s of %s: %w", h, name, err)
	}
	if root != "" {
		t, err = t.Tree(root)
		if errors.Is(err, object.ErrDirectoryNotFound) {
			return nil, nil
		}
	}
	return t, err
}

// maxLink is the longest target of a link that is followed.
const maxLink = 4096

// Link is where a symbolic link of a tree points. Lock is held.
func Link(t *object.Tree, name string) (string, error) {
	f, err := t.File(name)
	if err != nil {
		return "", err
	}
	if f.Size > maxLink {
		return "", nil
	}
	return f.Contents()
}

// ErrNoFile is the error of File for what is no file of the tree.
var ErrNoFile = errors.New("no such file in the tree")

// File finds a file of a tree, through links that stay in it. Lock is held.
func File(t *object.Tree, name string) (*object.File, filemode.FileMode, error) {
	for range 10 {
		e, err := t.FindEntry(name)
		if err != nil {
			return nil, 0, ErrNoFile
		}
		if e.Mode == filemode.Symlink {
			to, err := Link(t, name)
			if err != nil {
				return nil, 0, err
			}
			if name = path.Join(path.Dir(name), to); path.IsAbs(to) || !filepath.IsLocal(name) {
				return nil, 0, ErrNoFile // out of the tree
			}
			continue
		}
		if !e.Mode.IsFile() {
			return nil, 0, ErrNoFile
		}
		f, err := t.TreeEntryFile(e)
		return f, e.Mode, err
	}
	return nil, 0, ErrNoFile
}
