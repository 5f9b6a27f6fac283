# One use at least of each state: a run does it, a second run has nothing to do, and one
# that was killed is finished by the next.
{% set key = 'AAAAC3NzaC1lZDI1NTE5AAAAIHy2Zx4Yw1xGqZ8n6o1n2k0Q3b1sT9VhT4m5W6p7q8r9' %}
f managed: {file.managed: [{name: /srv/f/managed}, {source: "salt://big"}, {mode: "0640"}, {user: daemon}]}
f contents: {file.managed: [{name: /srv/f/mk/contents}, {contents: hello}, {makedirs: True}, {backup: minion}]}
f directory: {file.directory: [{name: /srv/f/d/e}, {makedirs: True}, {user: daemon}, {mode: "0750"}]}
f recurse: {file.recurse: [{name: /srv/f/tree}, {source: "salt://tree"}, {clean: True}, {file_mode: "0600"}]}
f symlink: {file.symlink: [{name: /srv/f/notlink}, {target: managed}, {force: True}]}
f hardlink: {file.hardlink: [{name: /srv/f/hard}, {target: /srv/f/tocopy}]}
f absent: {file.absent: [{names: [/srv/f/togo, /srv/f/gonedir]}]}
f line: {file.line: [{name: /srv/f/lined}, {mode: ensure}, {content: "new = 5"}, {after: "port=2"}]}
f line2: {file.line: [{name: /srv/f/lined2}, {mode: delete}, {match: "on = 4"}]}
f replace: {file.replace: [{name: /srv/f/edited}, {pattern: old}, {repl: new}]}
f blockreplace: {file.blockreplace: [{name: /srv/f/blocked}, {marker_start: "# start"}, {marker_end: "# end"}, {content: block}]}
f keyvalue: {file.keyvalue: [{name: /srv/f/keyed}, {key_values: {port: 9}}, {separator: "="}]}
f comment: {file.comment: [{name: /srv/f/commented}, {regex: "^old"}]}
f uncomment: {file.uncomment: [{name: /srv/f/uncommented}, {regex: "off = 3"}]}
f append: {file.append: [{name: /srv/f/appended}, {text: [one, two]}]}
f prepend: {file.prepend: [{name: /srv/f/prepended}, {text: first}]}
f serialize: {file.serialize: [{name: /srv/f/data.json}, {dataset: {b: 2}}, {formatter: json}, {merge_if_exists: True}]}
f copy: {file.copy: [{name: /srv/f/copied}, {source: /srv/f/tocopy}]}
f rename: {file.rename: [{name: /srv/f/renamed}, {source: /srv/f/torename}]}
f tidied: {file.tidied: [{name: /srv/f/tidy}, {matches: ['.*\.log']}, {age: 1}]}
f patch: {file.patch: [{name: /srv/f/topatch}, {source: "salt://to.patch"}]}
f mknod: {file.mknod: [{name: /srv/f/fifo}, {ntype: p}]}
f decode: {file.decode: [{name: /srv/f/decoded}, {encoded_data: "aGVsbG8K"}]}
f cached: {file.cached: [{name: "salt://s.sh"}]}
f not_cached: {file.not_cached: [{name: "salt://once"}]}
f accumulated: {file.accumulated: [{name: acc}, {filename: /srv/f/acc}, {text: [a, b]}, {require_in: [{file: f accfile}]}]}
f accfile: {file.managed: [{name: /srv/f/acc}, {source: "salt://acc"}, {template: jinja}]}
f retention: {file.retention_schedule: [{name: /srv/f/keep}, {strptime_format: "b-%Y-%m-%d"}, {retain: {most_recent: 2}}]}
f pruned: {file.pruned: [{name: /srv/f/gonedir2}]}
f exists: {file.exists: [{name: /srv/f}]}
f missing: {file.missing: [{name: /srv/nosuch}]}
c run: {cmd.run: [{name: "touch /srv/f/ran"}, {creates: /srv/f/ran}]}
c script: {cmd.script: [{name: "salt://s.sh"}, {creates: /srv/f/scripted}]}
c wait: {cmd.wait: [{name: "false"}]}
p installed: {pkg.installed: [{pkgs: [one, two, three]}, {refresh: False}]}
p latest: {pkg.latest: [{name: four}, {refresh: False}]}
p removed: {pkg.removed: [{name: gone}]}
p purged: {pkg.purged: [{name: gone}, {require: [{pkg: p removed}]}]}
p held: {pkg.held: [{name: held}]}
p unheld: {pkg.unheld: [{name: loose}]}
r managed: {pkgrepo.managed: [{name: "deb [trusted=yes] file:/srv/repo ./"}, {file: /etc/apt/sources.list.d/new.list}, {refresh: False}, {require: [{pkg: p latest}]}]}
r absent: {pkgrepo.absent: [{name: "deb [trusted=yes] file:/srv/nosuch ./"}, {refresh: False}]}
s running: {service.running: [{name: t-up}, {enable: True}]}
s enabled: {service.enabled: [{name: t-enabled}]}
s dead: {service.dead: [{name: t-down}, {enable: False}]}
s masked: {service.masked: [{name: t-mask}]}
s unmasked: {service.unmasked: [{name: t-unmask}]}
s disabled: {service.disabled: [{name: t-disable}]}
g present: {group.present: [{names: [g2, g3]}, {members: [keyed]}]}
g absent: {group.absent: [{name: oldgroup}]}
{% for u in ['u1', 'u2'] %}
{{ u }}: {user.present: [{groups: [team]}, {createhome: True}, {shell: /bin/sh}, {fullname: The User}, {password: "$6$x$y"}]}
{% endfor %}
u absent: {user.absent: [{name: leaver}, {purge: True}]}
k present: {ssh_auth.present: [{name: {{ key }}}, {user: keyed}, {enc: ed25519}, {comment: new}]}
k absent: {ssh_auth.absent: [{name: AAAAC3NzaC1lZDI1NTE5AAAAIGy2Zx4Yw1xGqZ8n6o1n2k0Q3b1sT9VhT4m5W6p7q8r9}, {user: keyed}]}
k known: {ssh_known_hosts.present: [{name: host.example.com}, {user: keyed}, {enc: ed25519}, {key: {{ key }}}, {hash_known_hosts: False}]}
k unknown: {ssh_known_hosts.absent: [{name: old.example.com}, {user: keyed}]}
j present: {cron.present: [{name: /bin/newjob}, {user: keyed}, {minute: 5}, {identifier: new}]}
j absent: {cron.absent: [{name: /bin/oldjob}, {user: keyed}]}
j env: {cron.env_present: [{name: MAILTO}, {value: root}, {user: keyed}]}
j no env: {cron.env_absent: [{name: OLDVAR}, {user: keyed}]}
j file: {cron.file: [{name: "salt://crontab"}, {user: daemon}]}
v latest: {git.latest: [{name: /srv/g}, {target: /srv/f/clone}, {branch: main}]}
v cloned: {git.cloned: [{name: /srv/g}, {target: /srv/f/clone2}]}
v detached: {git.detached: [{name: /srv/g}, {target: /srv/f/clone3}, {rev: v1}]}
v present: {git.present: [{name: /srv/f/bare}, {bare: True}]}
v config: {git.config_set: [{name: user.name}, {value: someone}, {global: True}]}
v unset: {git.config_unset: [{name: old.key}, {global: True}]}
a extracted: {archive.extracted: [{name: /srv/f/arch}, {source: "salt://a.tar.gz"}, {user: daemon}]}
h present: {host.present: [{ip: 10.1.2.3}, {names: [h1, h2]}]}
h absent: {host.absent: [{name: oldhost}, {ip: 10.9.9.9}]}
al present: {alias.present: [{name: root}, {target: ["a@example.com", b]}]}
al absent: {alias.absent: [{name: postmaster}]}
h only: {host.only: [{name: 10.9.9.8}, {hostnames: [somebody]}]}
m mounted: {mount.mounted: [{name: /mnt/a}, {device: tmpfs}, {fstype: tmpfs}, {mkmnt: True}]}
m bind: {mount.mounted: [{name: /mnt/b}, {device: /srv/disk}, {fstype: none}, {opts: bind}, {mkmnt: True}]}
m unmounted: {mount.unmounted: [{name: /mnt/u}]}
m fstab: {mount.fstab_present: [{name: /dev/sdz9}, {fs_file: /mnt/z}, {fs_vfstype: ext4}, {mount: False}]}
m fstab gone: {mount.fstab_absent: [{name: /dev/gone}, {fs_file: /mnt/gone}]}
y sysctl: {sysctl.present: [{name: net.ipv4.ip_forward}, {value: 1}, {config: /etc/sysctl.d/t.conf}]}
i pip: {pip.installed: [{name: "alpha==1.0"}]}
{% if salt['cmd.retcode']('python3 -c "import ensurepip, venv"') == 0 %}
i venv: {virtualenv.managed: [{name: /srv/f/venv}, {venv_bin: venv}, {pip_pkgs: ["alpha==1.0"]}]}
{% endif %}
n present: {grains.present: [{name: "site:room"}, {value: 4}, {force: True}]}
n list: {grains.list_present: [{name: roles}, {value: [web, db]}]}
n list less: {grains.list_absent: [{name: tags}, {value: y}, {require: [{grains: n append}]}]}
n there: {grains.exists: [{name: roles}]}
n append: {grains.append: [{name: tags}, {value: x}, {convert: True}]}
n absent: {grains.absent: [{name: oldgrain}, {destructive: True}]}
t zone: {timezone.system: [{name: Asia/Tokyo}]}
{% if salt['cmd.has_exec']('locale-gen') %}
t locale: {locale.present: [{name: en_IE.UTF-8}]}
t system: {locale.system: [{name: en_IE.UTF-8}, {require: [{locale: t locale}]}]}
{% endif %}
o install: {alternatives.install: [{name: thing}, {link: /usr/bin/thing}, {path: /usr/bin/thing-a}, {priority: 50}]}
o set: {alternatives.set: [{name: other}, {path: /usr/bin/thing-b}]}
o auto: {alternatives.auto: [{name: third}]}
o remove: {alternatives.remove: [{name: fourth}, {path: /usr/bin/thing-b}]}
d set: {debconf.set: [{name: pkga}, {data: {pkga/one: {type: string, value: hello}}}]}
i present: {ini.options_present: [{name: /srv/f/ini}, {sections: {sec: {a: 9}, new: {x: y}}}]}
i absent: {ini.options_absent: [{name: /srv/f/ini}, {sections: {sec: [b]}}]}
i sections: {ini.sections_absent: [{name: /srv/f/ini}, {sections: [del]}]}
i more: {ini.sections_present: [{name: /srv/f/ini2}, {sections: {two: {a: 1}}}]}
w query: {http.query: [{name: "http://127.0.0.1:8000/"}, {status: 200}]}
e present: {schedule.present: [{name: job}, {function: test.ping}, {seconds: 3600}, {offline: True}]}
e absent: {schedule.absent: [{name: oldjob}, {offline: True}]}
x present: {at.present: [{name: "echo new"}, {timespec: "10:00"}, {tag: new}, {unique_tag: True}]}
x absent: {at.absent: [{tag: going}]}
l present: {kmod.present: [{name: one}, {persist: True}]}
l absent: {kmod.absent: [{name: two}]}
z append: {iptables.append: [{table: filter}, {chain: INPUT}, {jump: ACCEPT}, {proto: tcp}, {dport: 80}]}
z delete: {iptables.delete: [{table: filter}, {chain: INPUT}, {jump: ACCEPT}, {proto: tcp}, {dport: 99}]}
z insert: {iptables.insert: [{table: filter}, {chain: INPUT}, {position: 1}, {jump: ACCEPT}, {proto: udp}, {dport: 53}]}
z chain: {iptables.chain_present: [{name: NEW}]}
z no chain: {iptables.chain_absent: [{name: OLD}]}
z policy: {iptables.set_policy: [{table: filter}, {chain: FORWARD}, {policy: DROP}]}
{% if salt['cmd.has_exec']('nft') %}
b table: {nftables.table_present: [{name: new}]}
b no table: {nftables.table_absent: [{name: old}]}
b chain: {nftables.chain_present: [{name: input}, {table: t}, {table_type: filter}, {hook: input}, {priority: 10}]}
b no chain: {nftables.chain_absent: [{name: oldchain}, {table: t}]}
b append: {nftables.append: [{table: t}, {chain: in}, {jump: accept}, {proto: tcp}, {dport: 80}]}
b insert: {nftables.insert: [{table: t}, {chain: in}, {position: 0}, {jump: accept}, {proto: udp}, {dport: 53}]}
b delete: {nftables.delete: [{table: t}, {chain: in}, {jump: accept}, {proto: tcp}, {dport: 99}]}
b policy: {nftables.set_policy: [{table: t}, {chain: through}, {policy: drop}]}
{% endif %}
q sync: {saltutil.sync_all: []}
q run: {module.run: [{file.touch: [{name: /srv/f/moduled}]}, {creates: /srv/f/moduled}]}
q nop: {test.nop: []}
q succeed: {test.succeed_without_changes: []}
# These change something each time.
always touch: {file.touch: [{name: /srv/f/touched}]}
always environ: {environ.setenv: [{name: CONFORM}, {value: "1"}]}
always event: {event.send: [{name: some/tag}]}
always module: {module.run: [{test.ping: []}]}
always changes: {test.succeed_with_changes: []}
