motd:
  file.managed:
    - name: /etc/motd
    - contents_pillar: motd
    - mode: '0644'

role:
  grains.present:
    - value: web
roles:
  grains.list_present:
    - value: [web, db]
site:
  grains.append:
    - name: sites
    - value: north
    - convert: true

LANGUAGE:
  environ.setenv:
    - value: en_GB

once:
  test.succeed_with_changes:
    - require_in:
      - file: motd

show:
  test.show_notification:
    - text: the machine is {{ grains['os_family'] }}

told:
  event.send:
    - name: deploy/done
    - data: {a: 1}
    - onchanges:
      - file: motd

ping:
  module.run:
    - test.echo:
      - text: hello

nightly:
  schedule.present:
    - function: test.ping
    - hours: 6
    - offline: true
