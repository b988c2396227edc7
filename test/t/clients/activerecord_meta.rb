# SPDX-License-Identifier: ISC
# ActiveRecord's schema queries, as models and db:schema:dump ask them. Prints "ok NAME" or "not ok NAME: why".
require 'active_record'
require 'stringio'

ActiveRecord::Base.establish_connection(adapter: 'postgresql', host: ENV['BH_HOST'], port: ENV['BH_PORT'], username: ENV['BH_USER'], database: ENV['BH_DB'],
  prepared_statements: ENV['BH_PREPARED'] != 'no', advisory_locks: false)

def step(name)
  puts((yield ? 'ok ' : 'not ok ') + name)
rescue StandardError => e
  puts "not ok #{name}: #{e.message.tr("\n", ' ')[0, 600]}"
end

class Doc < ActiveRecord::Base
end
c = nil
step('connect') { c = ActiveRecord::Base.connection }
step('tables') { c.tables.include?('docs') }
step('views') { c.views.include?('v_docs') }
step('table_exists?') { c.table_exists?('docs') && !c.table_exists?('nosuch') }
step('columns') { c.columns('docs').map(&:name)[0, 3] == %w[id tenant_id title] }
step('primary_key') { c.primary_key('docs') == 'id' }
step('indexes') { c.indexes('notes').map(&:columns) == [%w[doc]] }
step('foreign_keys') { c.foreign_keys('notes').map(&:to_table) == ['docs'] }
step('check_constraints') { c.check_constraints('docs').size == 1 }
step('table_comment') { c.table_comment('docs').nil? }
step('schema_names') { c.schema_names.include?('public') }
step('extensions') { c.extensions.include?('plpgsql') }
step('pk_and_sequence_for') { c.pk_and_sequence_for('docs')[0] == 'id' }
step('default_sequence_name') { c.default_sequence_name('docs').end_with?('docs_id_seq') }
step('encoding, collation, ctype') { c.encoding == 'UTF8' && c.collation && c.ctype }
step('model') { Doc.where(tenant_id: 'acme').count == 1000 }
step('find') { Doc.where(tenant_id: 'acme').find(2).title == 'title 2' }
step('schema dump') do # of docs it says that it does not know the type mood
  out = StringIO.new
  ActiveRecord::SchemaDumper.dump(c, out)
  out.string.include?('create_table "notes"') && out.string.include?('add_foreign_key "notes", "docs"')
end
