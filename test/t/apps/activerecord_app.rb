# SPDX-License-Identifier: ISC
# An application on Rails' ActiveRecord (doc/tenants.md, "Rails").
require 'active_record'

$failed = false
def ok(cond, name)
  puts((cond ? 'ok ' : 'not ok ') + name)
  $failed ||= !cond
end

ActiveRecord::Base.establish_connection(adapter: 'postgresql', host: ENV['BH_HOST'], port: ENV['BH_PORT'], username: ENV['BH_USER'],
                                        database: ENV['BH_DB'], prepared_statements: ENV['BH_PREPARED'] == '1', advisory_locks: false)
class Author < ActiveRecord::Base
  self.table_name = 'authors'
  self.ignored_columns = %w[tenant_id]
  has_many :books, dependent: :destroy
end

class Book < ActiveRecord::Base
  self.table_name = 'books'
  self.ignored_columns = %w[tenant_id]
  belongs_to :author
end

ok(Author.count == 0, 'starts with nothing of others')
a = Author.create!(name: 'Ada')
Author.create!(name: 'Bob')
(1..10).each { |i| a.books.create!(title: "title #{i}", pages: i * 10, meta: { n: i }, made: Time.now) }
ok(Book.count == 10, 'create')
ok(Author.joins(:books).where('books.pages > ?', 50).distinct.count == 1, 'joins')
ok(Author.includes(:books).order(:name).map { |x| x.books.size } == [10, 0], 'includes')
ok(Author.eager_load(:books).where(books: { pages: 10 }).to_a.size == 1, 'eager_load')
ok(Author.left_outer_joins(:books).group(:name).count('books.id') == { 'Ada' => 10, 'Bob' => 0 }, 'group and count')
ok(Book.where(pages: [10, 20]).update_all('pages = pages + 1') == 2, 'update_all')
ok(Book.order(pages: :desc).limit(3).offset(1).pluck(:pages) == [90, 80, 70], 'order, limit, offset, pluck')
ok(Author.find_or_create_by!(name: 'Ada').id == a.id, 'find_or_create_by')
ok(Book.sum(:pages) == 552 && Book.average(:pages).to_f == 55.2, 'sum and average')
Author.insert_all([{ name: 'x' }, { name: 'y' }])
ok(Author.count == 4, 'insert_all')
Author.transaction do
  Book.lock.find_by!(pages: 30).update!(title: 'locked')
  Author.transaction(requires_new: true) { Author.create!(name: 'inner'); raise ActiveRecord::Rollback }
end
ok(Book.find_by(pages: 30).title == 'locked' && Author.find_by(name: 'inner').nil?, 'lock and nested transactions')
ok(Book.exists?(pages: 40) && Book.find_each(batch_size: 4).to_a.size == 10, 'exists? and find_each')
ok(Book.where("meta->>'n' = ?", '3').count == 1, 'JSON')
a.destroy!
ok(Book.count == 0, 'destroy follows relations')
begin
  ActiveRecord::Base.connection.execute("INSERT INTO authors (tenant_id, name) VALUES ('other', 'planted')")
  ok(false, 'a foreign row is refused')
rescue ActiveRecord::StatementInvalid => e
  ok(e.message.include?('wrong_tenant'), 'a foreign row is refused')
end
exit($failed ? 1 : 0)
