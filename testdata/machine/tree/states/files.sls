{% from 'map.jinja' import web with context %}
/etc/app:
  file.directory:
    - mode: '0750'
    - makedirs: true

/etc/app/conf.d:
  file.recurse:
    - source: salt://files/conf
    - file_mode: '0640'
    - dir_mode: '0750'
    - clean: true
    - template: jinja
    - context: {port: {{ web.port }}}
    - exclude_pat: '*.bak'
    - require:
      - file: /etc/app

/etc/app/app.conf:
  file.managed:
    - source: salt://files/app.conf.jinja
    - template: jinja
    - defaults: {name: app, workers: 2}
    - context: {workers: 4}
    - mode: '0600'
    - check_cmd: grep -q name

/etc/app/remote.txt:
  file.managed:
    - source: /srv/plain.txt
    - source_hash: sha256=5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03

/etc/app/wrong.txt:
  file.managed:
    - source: file:///srv/plain.txt
    - source_hash: sha256=0000000000000000000000000000000000000000000000000000000000000000

/etc/app/missing.txt:
  file.managed:
    - source: salt://files/nosuch

/etc/app/contents:
  file.managed:
    - contents: [a, b, 3]
    - backup: minion

/etc/app/link:
  file.symlink:
    - target: app.conf

/etc/app/hard:
  file.hardlink:
    - target: /etc/app/contents
    - require: [{file: /etc/app/contents}]

/etc/app/data.json:
  file.serialize:
    - formatter: json
    - dataset: {b: [1, 2], a: {x: true}}
/etc/app/data.yaml:
  file.serialize:
    - formatter: yaml
    - dataset_pillar: web

/etc/app/touched:
  file.touch

/etc/app/copied:
  file.copy:
    - source: /etc/app/contents
    - require:
      - file: /etc/app/contents

append:
  file.append:
    - name: /etc/app/lines
    - text:
      - first line
      - second line
prepend:
  file.prepend:
    - name: /etc/app/lines
    - text: zeroth line
    - require: [{file: append}]
line:
  file.line:
    - name: /etc/app/lines
    - content: between
    - mode: ensure
    - after: first line
    - require: [{file: prepend}]
replace:
  file.replace:
    - name: /etc/app/lines
    - pattern: second (\w+)
    - repl: 2nd \1
    - require: [{file: line}]
comment:
  file.comment:
    - name: /etc/app/lines
    - regex: ^between
    - require: [{file: replace}]
block:
  file.blockreplace:
    - name: /etc/app/lines
    - marker_start: '# START'
    - marker_end: '# END'
    - content: inside
    - append_if_not_found: true
    - require: [{file: comment}]
acc:
  file.accumulated:
    - filename: /etc/app/lines
    - text: gathered
    - require_in:
      - file: block
uncomment:
  file.uncomment:
    - name: /srv/commented
    - regex: keep
keyvalue:
  file.keyvalue:
    - name: /srv/commented
    - key_values: {Port: '22', Root: 'no'}
    - separator: ' '
    - uncomment: '#'
    - append_if_not_found: true
rename:
  file.rename:
    - name: /srv/renamed
    - source: /srv/torename
gone:
  file.absent:
    - name: /srv/togo
tidied:
  file.tidied:
    - name: /srv/tidy
    - matches: ['.*\.old']
there:
  file.exists:
    - name: /srv/plain.txt
notthere:
  file.missing:
    - name: /srv/togo
    - require: [{file: gone}]
retention:
  file.directory:
    - name: /srv/modes
    - file_mode: '0700'
    - dir_mode: '0700'
    - recurse: [mode]
fifo:
  file.mknod:
    - name: /srv/fifo
    - ntype: p
    - mode: '0640'
patched:
  file.patch:
    - name: /srv/topatch
    - source: salt://files/to.patch
decoded:
  file.decode:
    - name: /srv/decoded
    - encoded_data: aGVsbG8K
    - encoding_type: base64

ini:
  ini.options_present:
    - name: /etc/app/app.ini
    - sections:
        main: {a: 1, b: two}
        other: {c: x}
    - require: [{file: /etc/app}]

tar:
  archive.extracted:
    - name: /srv/unpacked
    - source: /srv/a.tar.gz
    - enforce_toplevel: false
