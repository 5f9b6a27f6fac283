package modules

import (
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/module"
)

// TestDocumented holds every function and every argument to having a comment.
func TestDocumented(t *testing.T) {
	for _, what := range New().Undocumented() {
		t.Errorf("no documentation: %s", what)
	}
}

// TestSignatures reads every argument struct: one that cannot be read panics.
func TestSignatures(t *testing.T) {
	r := New()
	for _, name := range r.Names() {
		r.Lookup(name).Spec()
	}
}

// saltNames are the functions of Salt 3006.18 for the modules that are here.
var saltNames = map[string]string{
	"test": `arg arg_clean arg_repr arg_type assertion attr_call collatz conf_test cross_test deprecation_warning echo
		exception false fib get_opts kwarg module_report not_loaded opts_pkg outputter ping provider providers
		raise_exception rand_sleep rand_str random_hash retcode sleep stack true try tty version versions
		versions_information versions_report`,
	"cmd": `exec_code exec_code_all has_exec powershell powershell_all retcode run run_all run_bg run_chroot run_stderr
		run_stdout script script_retcode shell shell_info shells tty which which_bin`,
	"grains": `append delkey delval equals filter_by get has_value item items ls remove set setval setvals`,
	"file": `access append apply_template_on_contents basename blockreplace chattr check_file_meta check_hash check_managed
		check_managed_changes check_perms chgrp chown comment comment_line contains contains_glob contains_regex copy
		delete_backup directory_exists dirname diskusage extract_hash file_exists find get_devmm get_diff get_gid
		get_group get_hash get_managed get_mode get_selinux_context get_source_sum get_sum get_uid get_user
		gid_to_group grep group_to_gid is_blkdev is_chrdev is_fifo is_hardlink is_link join lchown line link
		list_backup list_backups list_backups_dir lsattr lstat makedirs makedirs_perms manage_file mkdir mknod
		mknod_blkdev mknod_chrdev mknod_fifo move normpath open_files pardir patch path_exists_glob prepend psed read
		readdir readlink remove remove_backup rename replace restore_backup restorecon rmdir search sed sed_contains
		seek_read seek_write set_mode set_selinux_context source_list stats statvfs symlink touch truncate uid_to_user
		uncomment user_to_uid write`,
	"user": `add chfullname chgid chgroups chhome chhomephone chloginclass chother chroomnumber chshell chuid chworkphone
		delete get_loginclass getent info list_groups list_users primary_group rename`,
	"group": `add adduser chgid delete deluser getent info members`,
	"shadow": `default_hash del_password gen_password info list_users lock_password set_date set_expire set_inactdays
		set_maxdays set_mindays set_password set_warndays unlock_password`,
	"hosts": `add_host get_alias get_ip has_pair list_hosts rm_host set_comment set_host`,
	"log":   `critical debug error exception info warning`,
	"sys": `argspec doc list_functions list_modules list_renderers list_returner_functions list_returners
		list_runner_functions list_runners list_state_functions list_state_modules reload_modules renderer_doc
		returner_argspec returner_doc runner_argspec runner_doc state_argspec state_doc state_schema`,
}

// TestNoNameIsSilentlyMissing: a function of Salt's either runs or says that it is
// not here yet.
func TestNoNameIsSilentlyMissing(t *testing.T) {
	r := New()
	planned := r.PlannedNames()
	for mod, names := range saltNames {
		for _, n := range strings.Fields(names) {
			name := mod + "." + n
			switch {
			case r.Has(name):
			case slices.Contains(planned, name):
				res := r.Run(t.Context(), &module.Call{}, name, nil, nil)
				if text, _ := res.Return.(string); !strings.HasPrefix(text, "'"+name+"' is not available in gosalt yet.") || res.Success {
					t.Errorf("%s: %+v", name, res)
				}
			default:
				t.Errorf("%s is neither registered nor planned", name)
			}
		}
	}
	for _, name := range planned {
		if r.Has(name) {
			t.Errorf("%s is registered and still planned", name)
		}
	}
}

// BenchmarkNew is what the start of a minion, and of gosalt-call, pays for all
// functions.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New()
	}
}

func BenchmarkPing(b *testing.B) {
	r := New()
	for b.Loop() {
		r.Run(b.Context(), &module.Call{}, "test.ping", nil, nil)
	}
}
