{% for name, g in pillar.groups.items() %}
{{ name }}:
  group.present:
    - gid: {{ g.gid }}
{% endfor %}
{% for name, u in pillar.users.items() %}
{{ name }}:
  user.present:
    - uid: {{ u.uid }}
    - fullname: {{ u.fullname }}
    - shell: {{ u.shell }}
    - groups: {{ u.groups | tojson }}
    - home: /home/{{ name }}
    - require:
      - group: admins
      - group: staffers
{{ name }}_key:
  ssh_auth.present:
    - name: {{ u.key }}
    - user: {{ name }}
    - enc: ssh-ed25519
    - comment: {{ name }}@example.com
    - require:
      - user: {{ name }}
{% endfor %}
known:
  ssh_known_hosts.present:
    - name: host.example.com
    - user: ann
    - enc: ed25519
    - key: AAAAC3NzaC1lZDI1NTE5AAAAIKqP3HkZgR3x9jPC2Vq2nV0WQ7sQ0yGQm3i0a2xqJc0x
    - hash_known_hosts: false
    - require: [{user: ann}]
backup:
  cron.present:
    - name: /usr/bin/true --nightly
    - user: root
    - minute: '5'
    - hour: '*/2'
    - identifier: BACKUP
    - comment: nightly
MAILTO:
  cron.env_present:
    - value: ops@example.com
    - user: root
