package modules

// The arguments that cmd.* takes by position, in Salt's order: its functions have the same
// ones, and not all in the same place, nor with the same default.
const (
	orderRunChroot = `root cmd cwd stdin runas group shell python_shell=True binds env clean_env template rstrip umask output_encoding
		output_loglevel=quiet log_callback hide_output timeout reset_system_locale ignore_retcode saltenv use_vt bg
		success_retcodes success_stdout success_stderr`
	orderRun = `cmd cwd stdin runas group shell python_shell env clean_env template rstrip umask output_encoding
		output_loglevel log_callback hide_output timeout reset_system_locale ignore_retcode saltenv use_vt
		redirect_stderr bg password encoded_cmd raise_err prepend_path success_retcodes success_stdout
		success_stderr`
	orderRunAll = `cmd cwd stdin runas group shell python_shell env clean_env template rstrip umask output_encoding
		output_loglevel log_callback hide_output timeout reset_system_locale ignore_retcode saltenv use_vt
		redirect_stderr password encoded_cmd prepend_path success_retcodes success_stdout success_stderr`
	orderRunStdout = `cmd cwd stdin runas group shell python_shell env clean_env template rstrip umask output_encoding
		output_loglevel log_callback hide_output timeout reset_system_locale ignore_retcode saltenv use_vt password
		prepend_path success_retcodes success_stdout success_stderr`
	orderRetcode = `cmd cwd stdin runas group shell python_shell env clean_env template umask output_encoding output_loglevel
		log_callback timeout reset_system_locale ignore_retcode saltenv use_vt password success_retcodes
		success_stdout success_stderr`
	orderShell = `cmd cwd stdin runas group shell env clean_env template rstrip umask output_encoding output_loglevel
		log_callback hide_output timeout reset_system_locale ignore_retcode saltenv use_vt bg password prepend_path
		success_retcodes success_stdout success_stderr`
	orderRunBg = `cmd cwd runas group shell python_shell env clean_env template umask timeout output_encoding output_loglevel
		log_callback reset_system_locale ignore_retcode saltenv password prepend_path success_retcodes
		success_stdout success_stderr`
	orderScript = `source args cwd stdin runas group shell python_shell env template umask output_encoding output_loglevel
		log_callback hide_output timeout reset_system_locale saltenv use_vt bg password success_retcodes
		success_stdout success_stderr`
	orderScriptRetcode = `source args cwd stdin runas group shell python_shell env template=jinja umask timeout reset_system_locale saltenv
		output_encoding output_loglevel log_callback use_vt password success_retcodes success_stdout success_stderr`
)
